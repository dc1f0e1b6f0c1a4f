declare module "seek-bzip" {
  interface Source {
    readByte(): number;
    read(target: Uint8Array, offset: number, length: number): number;
  }
  interface Bunzip {
    decode(input: Source, output: { writeByte(byte: number): void }, multistream?: boolean): void;
  }
  const bunzip: Bunzip;
  export = bunzip;
}
