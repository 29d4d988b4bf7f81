/** What a check that fails throws: what was seen, in words that may be shown. */
export class CheckFailure extends Error {
  override readonly name = "CheckFailure";
}

/** What a check throws that the device is not made for. */
export class NotSupported extends Error {
  override readonly name = "NotSupported";
}
