/** The URL with every password replaced by `**`. Also safe for text that is not a URL. */
export function redactUrl(url: string): string {
  return url
    .split(";")
    .map((one) => {
      const start = one.indexOf("://");
      const at = one.lastIndexOf("@");
      let text = one;
      if (start >= 0 && at > start) {
        const colon = one.indexOf(":", start + 3);
        if (colon > 0 && colon < at) text = `${one.slice(0, colon + 1)}**${one.slice(at)}`;
      }
      return text.replace(/([?&][^=&]*pass[^=&]*=)[^&]*/gi, "$1**");
    })
    .join(";");
}
