import type { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { NativeDeviceEvent } from "../../../../src/devices/native/device-events.ts";
import type { DeviceLink, LinkEvents, Surroundings } from "../../../../src/devices/native/device-link.ts";
import { DeviceFault, type FaultFacts } from "../../../../src/devices/native/fault.ts";
import { type DeviceGround, NativeDevice } from "../../../../src/devices/native/native-device.ts";
import { type PoolSettings, poolSettings } from "../../../../src/devices/native/pool-settings.ts";

/** A clock that moves only when a test moves it. Chance is always a half. */
export class FakeClock implements Surroundings {
  #nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return 0.5;
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + milliseconds, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Moves time on, runs what falls due in its order, and lets promises settle. */
  async advance(milliseconds: number): Promise<void> {
    const untilMs = this.#nowMs + milliseconds;
    for (;;) {
      await settle();
      const next = this.#timers.toSorted((one, other) => one.atMs - other.atMs)[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#timers = this.#timers.filter((one) => one !== next);
      next.run();
    }
    this.#nowMs = untilMs;
    await settle();
  }
}

export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A pretended process: keeps what it was sent, and says what a test has it say. */
export class FakeLink implements DeviceLink {
  readonly pid: number;
  readonly events: LinkEvents;
  readonly pinBytes: number | undefined;
  readonly sent: { id: number; slot: number; operation: string }[] = [];
  readonly asked: string[] = [];
  killed = false;
  /** Whether SIGKILL ends it. */
  mortal = true;

  constructor(pid: number, events: LinkEvents, pin: SecretBuffer | undefined) {
    this.pid = pid;
    this.events = events;
    this.pinBytes = pin?.byteLength;
  }

  openSession(slot: number): void {
    this.asked.push(`open ${slot}`);
  }

  closeSession(slot: number): void {
    this.asked.push(`close ${slot}`);
  }

  call(id: number, slot: number, operation: string): void {
    this.sent.push({ id, slot, operation });
  }

  revoke(id: number): void {
    this.asked.push(`revoke ${id}`);
  }

  close(): void {
    this.asked.push("close");
  }

  kill(): void {
    if (this.killed) return;
    this.killed = true;
    if (this.mortal) setImmediate(() => this.events.ended(null, "SIGKILL"));
  }

  /** Opens the device and answers every opening of a session that was asked for. */
  comeUp(): void {
    this.events.opened({ pid: this.pid });
    this.openSessions();
  }

  openSessions(): void {
    for (const asked of this.asked.splice(0)) {
      const [what, slot] = asked.split(" ");
      if (what === "open") this.events.sessionOpened(Number(slot));
      else if (what === "close" && slot !== undefined) this.events.sessionClosed(Number(slot));
    }
  }

  /** Answers the oldest call that was sent under a name. */
  answer(operation: string, answers: readonly Buffer[] = []): void {
    this.events.answered(this.idOf(operation), answers);
  }

  fail(operation: string, fault: FaultFacts): void {
    this.events.faulted(this.idOf(operation), fault);
  }

  idOf(operation: string): number {
    const at = this.sent.findIndex((sent) => sent.operation === operation);
    const sent = this.sent[at];
    if (sent === undefined) throw new Error(`${operation} was not sent`);
    this.sent.splice(at, 1);
    return sent.id;
  }

  get operations(): string[] {
    return this.sent.map(({ operation }) => operation);
  }
}

export interface FakeDevice {
  readonly device: NativeDevice;
  readonly clock: FakeClock;
  /** All processes so far, the one that runs last. */
  readonly links: FakeLink[];
  readonly events: NativeDeviceEvent[];
  link(): FakeLink;
}

/** The ground of a device whose processes are pretended. */
export function fakeGround(
  settings: Partial<PoolSettings>,
  pin?: SecretBuffer,
): { ground: DeviceGround; clock: FakeClock; links: FakeLink[]; events: NativeDeviceEvent[] } {
  const clock = new FakeClock();
  const links: FakeLink[] = [];
  const events: NativeDeviceEvent[] = [];
  const ground: DeviceGround = {
    start: (linkEvents, lent) => {
      const link = new FakeLink(1000 + links.length, linkEvents, lent);
      links.push(link);
      return link;
    },
    settings: poolSettings(settings),
    surroundings: clock,
    pin,
    name: "the card",
    tell: (event) => events.push(event),
  };
  return { ground, clock, links, events };
}

/** A device that is open on a pretended process. */
export async function openFake(settings: Partial<PoolSettings> = {}, pin?: SecretBuffer): Promise<FakeDevice> {
  const { ground, clock, links, events } = fakeGround(settings, pin);
  const opening = NativeDevice.openOn(ground);
  links[0]?.comeUp();
  const link = (): FakeLink => {
    const last = links.at(-1);
    if (last === undefined) throw new Error("no process was started");
    return last;
  };
  return { device: await opening, clock, links, events, link };
}

export function fault(kind: FaultFacts["kind"], code = "0x01000003"): DeviceFault {
  return new DeviceFault({ kind, code, message: "the card says so" });
}
