/** TypeScript's own API on sources that only exist in a test. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const folder = fileURLToPath(new URL("../../types/", import.meta.url));
/** Files on disk do not change while tests run. */
const parsed = new Map<string, ts.SourceFile | undefined>();

function options(): ts.CompilerOptions {
  const file = join(folder, "tsconfig.json");
  const read = ts.readConfigFile(file, (path) => ts.sys.readFile(path));
  return ts.parseJsonConfigFileContent(read.config, ts.sys, dirname(file)).options;
}

/** A program of one file of `test/types/`; with `text` the file need not exist. */
export function compile(name: string, text?: string): ts.Program {
  const config = options();
  const file = join(folder, name);
  const host = ts.createCompilerHost(config);
  const getSourceFile = host.getSourceFile.bind(host);
  const fileExists = host.fileExists.bind(host);
  host.fileExists = (path) => (text !== undefined && path === file) || fileExists(path);
  host.getSourceFile = (path, version) => {
    if (text !== undefined && path === file) return ts.createSourceFile(path, text, version, true);
    if (!parsed.has(path)) parsed.set(path, getSourceFile(path, version));
    return parsed.get(path);
  };
  const declarations = ts.sys.readDirectory(join(folder, "../../src/codecs"), [".d.ts"]);
  return ts.createProgram({ rootNames: [file, ...declarations], options: config, host });
}

/** What the compiler says about the file itself, with its place. */
export function diagnosticsOf(program: ts.Program, name: string): readonly { start: number; text: string }[] {
  const source = program.getSourceFile(join(folder, name));
  if (!source) throw new Error(`no ${name}`);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
    (one) => ({
      start: one.start ?? 0,
      text: ts.flattenDiagnosticMessageText(one.messageText, "\n").replaceAll(/\s*\n\s*/gu, " "),
    }),
  );
}

/** How often types were instantiated for checking this file: what types cost, whatever the machine does besides. */
export function instantiationsOf(name: string, text: string): number {
  const program = compile(name, text);
  const problems = diagnosticsOf(program, name);
  if (problems.length > 0) throw new Error(problems.map((one) => one.text).join("\n"));
  return (program as unknown as { getInstantiationCount(): number }).getInstantiationCount();
}
