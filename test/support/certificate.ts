/** A certificate of our own for `localhost` and 127.0.0.1, which is its own authority. Needs `openssl`. */
import { execFileSync } from "node:child_process";
import { chownSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** @param owner - whom the files belong to, for a server that runs as another user */
export function makeCertificate(
  dir: string,
  owner: { readonly uid?: number; readonly gid?: number } = {},
): Certificate {
  const certFile = join(dir, "cert.pem");
  const keyFile = join(dir, "key.pem");
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const files = ["-keyout", keyFile, "-out", certFile];
  execFileSync("openssl", ["req", "-x509", "-nodes", "-days", "2", ...curve, ...subject, ...files], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (owner.uid !== undefined && owner.gid !== undefined)
    for (const file of [certFile, keyFile]) chownSync(file, owner.uid, owner.gid);
  return { certFile, keyFile };
}
