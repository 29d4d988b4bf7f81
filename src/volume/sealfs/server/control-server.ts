import { type SocketCalls, socketErrno, watchEvents } from "../control/socket-calls.ts";

/** The longest request; also what a client can make this process keep. */
const longestRequestBytes = 8 * 1024 * 1024;
const mostClients = 16;
const chunkBytes = 64 * 1024;
/** Of one client, before the mount is looked at again. */
const chunksInARow = 16;
const newline = 10;

/**
 * Answers one request, now or later. While it has not been answered, its client is asked nothing more.
 *
 * @param isThere - Whether someone still waits for the answer.
 */
export type AnswerRequest = (request: Buffer, answer: (line: string) => void, isThere: () => boolean) => void;

interface Client {
  readonly descriptor: number;
  input: Buffer[];
  inputBytes: number;
  hasLine: boolean;
  /** What is still to be sent. */
  output: Buffer | undefined;
  isAnswering: boolean;
  isGone: boolean;
}

/**
 * A UNIX socket that is served between the requests of a mount: lines in, one answer line for each, nothing ever waited for. Only
 * processes of root and of this process's user are heard. Other descriptors can be watched beside it.
 */
export class ControlServer {
  /** Readable when {@link ready} has something to do. */
  readonly descriptor: number;
  readonly #calls: SocketCalls;
  readonly #answer: AnswerRequest;
  readonly #ownUser: number;
  readonly #others = new Map<number, () => "goOn" | "leave">();
  readonly #clients = new Map<number, Client>();
  readonly #chunk = Buffer.alloc(chunkBytes);
  #listener: number | undefined;

  /** @throws {Error} When the system gives no descriptor. */
  constructor(calls: SocketCalls, ownUser: number, answer: AnswerRequest) {
    this.#calls = calls;
    this.#ownUser = ownUser;
    this.#answer = answer;
    this.descriptor = succeeded("epoll_create1", calls.makeWatch());
  }

  /** Whether anyone is connected. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** @param path - Of a socket that is not there yet. @throws {Error} */
  listen(path: string): void {
    this.#listener = succeeded("listening", this.#calls.listen(path));
    succeeded("epoll_ctl", this.#calls.watch(this.descriptor, "add", this.#listener, watchEvents.input));
  }

  /** Watches another descriptor. @param ready - Called when it can be read or its other end has gone; `leave` ends the watch. */
  watch(descriptor: number, ready: () => "goOn" | "leave"): void {
    this.#others.set(descriptor, ready);
    succeeded("epoll_ctl", this.#calls.watch(this.descriptor, "add", descriptor, watchEvents.input));
  }

  /** Does what can be done without waiting. */
  ready(): void {
    for (const { descriptor, events } of this.#calls.ready(this.descriptor)) {
      if (descriptor === this.#listener) this.#accept();
      else if (this.#others.get(descriptor)?.() === "leave") {
        this.#others.delete(descriptor);
        this.#calls.watch(this.descriptor, "remove", descriptor, 0);
      } else this.#serve(this.#clients.get(descriptor), events);
    }
  }

  /** Leaves all clients; the socket's file is the caller's to remove. */
  close(): void {
    for (const client of this.#clients.values()) this.#leave(client);
    if (this.#listener !== undefined) this.#calls.close(this.#listener);
    this.#calls.close(this.descriptor);
  }

  #accept(): void {
    const descriptor = this.#calls.accept(this.#listener ?? -1);
    if (descriptor < 0) return;
    const user = this.#calls.peerUser(descriptor);
    if ((user !== 0 && user !== this.#ownUser) || this.#clients.size >= mostClients) {
      this.#calls.close(descriptor);
      return;
    }
    const client: Client = {
      ...{ descriptor, input: [], inputBytes: 0, hasLine: false },
      ...{ output: undefined, isAnswering: false, isGone: false },
    };
    this.#clients.set(descriptor, client);
    this.#calls.watch(this.descriptor, "add", descriptor, watchEvents.input | watchEvents.peerClosed);
  }

  #serve(client: Client | undefined, events: number): void {
    if (client === undefined) return;
    const waitsForUs = client.isAnswering || client.output !== undefined;
    const gone = watchEvents.error | watchEvents.hangUp | (waitsForUs ? watchEvents.peerClosed : 0);
    if ((events & gone) !== 0) {
      this.#leave(client);
      return;
    }
    if (client.output !== undefined) this.#send(client);
    else if (!client.isAnswering && !client.hasLine) this.#receive(client);
    // One at a time: the mount has its turn after each.
    if (!client.isAnswering && client.output === undefined && client.hasLine) this.#answerNext(client);
    this.#watchFor(client);
  }

  #receive(client: Client): void {
    for (let chunks = 0; chunks < chunksInARow && !client.hasLine; chunks += 1) {
      const length = this.#calls.receive(client.descriptor, this.#chunk);
      if (length === -socketErrno.EAGAIN || length === -socketErrno.EINTR) return;
      if (length <= 0 || client.inputBytes + length > longestRequestBytes) {
        this.#leave(client);
        return;
      }
      const bytes = Buffer.from(this.#chunk.subarray(0, length));
      client.input.push(bytes);
      client.inputBytes += length;
      client.hasLine = bytes.includes(newline);
    }
  }

  #answerNext(client: Client): void {
    const input = Buffer.concat(client.input);
    const end = input.indexOf(newline);
    const rest = input.subarray(end + 1);
    client.input = [rest];
    client.inputBytes = rest.length;
    client.hasLine = rest.includes(newline);
    client.isAnswering = true;
    this.#answer(
      input.subarray(0, end),
      (line) => this.#answered(client, line),
      () => !client.isGone,
    );
  }

  #answered(client: Client, line: string): void {
    if (client.isGone || !client.isAnswering) return;
    client.isAnswering = false;
    client.output = Buffer.from(`${line}\n`);
    this.#send(client);
    this.#watchFor(client);
  }

  #send(client: Client): void {
    while (client.output !== undefined) {
      const sent = this.#calls.send(client.descriptor, client.output);
      if (sent === -socketErrno.EAGAIN || sent === -socketErrno.EINTR) return;
      if (sent < 0) {
        this.#leave(client);
        return;
      }
      client.output = sent === client.output.length ? undefined : client.output.subarray(sent);
    }
  }

  #watchFor(client: Client): void {
    if (client.isGone) return;
    // A line that has come already is told of by no input; that we may write is told of at once.
    const wanted = client.isAnswering
      ? 0
      : client.output !== undefined || client.hasLine
        ? watchEvents.output
        : watchEvents.input;
    this.#calls.watch(this.descriptor, "change", client.descriptor, wanted | watchEvents.peerClosed);
  }

  #leave(client: Client): void {
    if (client.isGone) return;
    client.isGone = true;
    client.input = [];
    client.output = undefined;
    this.#clients.delete(client.descriptor);
    this.#calls.close(client.descriptor);
  }
}

function succeeded(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed: errno ${-result}`);
  return result;
}
