const unixFamily = 1;
const datagram = 2;
const closeOnExec = 0o2000000;

/**
 * Tells systemd (or whoever set `NOTIFY_SOCKET`) how this service stands: `READY=1`, `STOPPING=1` (sd_notify(3)).
 * Does nothing without that variable. A failure is not one of the service: false is returned.
 */
export async function notifyServiceManager(state: string): Promise<boolean> {
  const path = process.env.NOTIFY_SOCKET;
  if (path === undefined || !/^[/@]/.test(path) || Buffer.byteLength(path) > 107) return false;
  try {
    return await send(path, state);
  } catch {
    return false;
  }
}

/** Node opens no Unix datagram socket, hence these three calls of the C library. */
async function send(path: string, state: string): Promise<boolean> {
  const { default: koffi } = await import("koffi");
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const sendto = libc.func(
    "long sendto(int socket, const uint8_t *message, size_t length, int flags, const uint8_t *address, uint32_t addressLength)",
  );
  const close = libc.func("int close(int file)");
  const file: number = socket(unixFamily, datagram | closeOnExec, 0);
  if (file < 0) return false;
  const message = Buffer.from(state);
  const address = socketAddress(path);
  const sent = Number(sendto(file, message, message.length, 0, address, address.length));
  close(file);
  return sent === message.length;
}

/** `struct sockaddr_un`: family (u16, the machine's order), then the path; `@` stands for the abstract zero byte. */
function socketAddress(path: string): Buffer {
  const family = Buffer.from(new Uint16Array([unixFamily]).buffer);
  const name = Buffer.from(path);
  if (path.startsWith("@")) name[0] = 0;
  return Buffer.concat([family, name, path.startsWith("@") ? Buffer.of() : Buffer.of(0)]);
}
