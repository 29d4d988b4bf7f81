declare module "snappyjs" {
  export function compress(uncompressed: Buffer): Buffer;
  export function uncompress(compressed: Buffer, maxLength: number): Buffer;
}
