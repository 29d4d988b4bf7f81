/** Every way a server can fail to start. Codes are API. */
export const serverErrors = {
  ADDRESS_IN_USE: "another program listens on the address",
  ADDRESS_NOT_PERMITTED: "this user may not listen on the address",
  ADDRESS_NOT_HERE: "this machine has no such address",
  SOCKET_PATH_TOO_LONG: "the data folder's path is too long for its administration socket",
  CONSOLE_NOT_BUILT: "the console's page is not built: run script/setup, or npm run build:console",
  LISTEN_FAILED: "the address could not be listened on",
} as const;

export type ServerErrorCode = keyof typeof serverErrors;

export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly code: ServerErrorCode;
  /** The command line's exit code: none of these is a refusal or an integrity failure. */
  readonly exitCode = 1;

  constructor(code: ServerErrorCode, message: string = serverErrors[code], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

const listenCodes: Readonly<Record<string, ServerErrorCode>> = {
  EADDRINUSE: "ADDRESS_IN_USE",
  EACCES: "ADDRESS_NOT_PERMITTED",
  EPERM: "ADDRESS_NOT_PERMITTED",
  EADDRNOTAVAIL: "ADDRESS_NOT_HERE",
  ENOTFOUND: "ADDRESS_NOT_HERE",
};

/** One clear line for a listener that could not be opened. */
export function listenFailure(listener: string, address: string, cause: unknown): ServerError {
  const errno = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const code = listenCodes[errno] ?? "LISTEN_FAILED";
  return new ServerError(
    code,
    `${listener} ${address}: ${serverErrors[code]}${errno === "" ? "" : ` (${errno})`}`,
    cause,
  );
}
