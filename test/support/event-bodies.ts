/** The events of an envelope as it travels on a channel. */
export function envelopeEvents(envelope: string): Readonly<Record<string, unknown>>[] {
  const { body, properties } = JSON.parse(envelope) as {
    readonly body: string;
    readonly properties: { readonly body_encoding: string };
  };
  const text = properties.body_encoding === "base64" ? Buffer.from(body, "base64").toString() : body;
  return [JSON.parse(text) as Record<string, unknown>].flat();
}
