import { DeviceError, type DeviceErrorCode, type DeviceFaultKind } from "../errors.ts";

/** What of a fault crosses from a device's process to ours. */
export interface FaultFacts {
  readonly kind: DeviceFaultKind;
  /** The library's own code as its documents write it, `0x0100000E` or `CKR_PIN_INCORRECT`, or a word of ours; at most 64 characters. */
  readonly code: string;
  /** What happened, to which thing, what to do; at most 1,000 characters, never a secret. */
  readonly message: string;
  /** The session is of no more use: it is closed and another is opened in its place. */
  readonly evict: boolean;
  /** The same call may succeed later. Says nothing about whether it is safe to send it again. */
  readonly retryable: boolean;
  /** Told of one more call that the trouble told of just before has cost: it counts once. */
  readonly follows?: boolean;
}

/** Kinds after which a session is closed, unless the program says otherwise. */
const evictingKinds: ReadonlySet<DeviceFaultKind> = new Set(["session", "device", "comm"]);
/** Kinds of a passing trouble. */
const passingKinds: ReadonlySet<DeviceFaultKind> = new Set(["session", "device", "comm", "busy", "timeout"]);

/** What a device program throws: a failure of its library, sorted by kind. */
export class DeviceFault extends Error implements FaultFacts {
  override readonly name = "DeviceFault";
  readonly kind: DeviceFaultKind;
  readonly code: string;
  readonly evict: boolean;
  readonly retryable: boolean;
  readonly follows: boolean;

  /** @param facts - `evict` and `retryable` follow from the kind when left out. */
  constructor(
    facts: Pick<FaultFacts, "kind" | "code" | "message"> & Partial<Pick<FaultFacts, "evict" | "retryable" | "follows">>,
  ) {
    super(facts.message);
    this.kind = facts.kind;
    this.code = facts.code;
    this.evict = facts.evict ?? evictingKinds.has(facts.kind);
    this.retryable = facts.retryable ?? passingKinds.has(facts.kind);
    this.follows = facts.follows ?? false;
  }
}

const codesOfKinds: Readonly<Record<DeviceFaultKind, DeviceErrorCode>> = {
  auth: "DEVICE_PIN_REFUSED",
  "locked-out": "DEVICE_PIN_LOCKED",
  "not-found": "DEVICE_KEY_NOT_FOUND",
  unsupported: "DEVICE_UNSUPPORTED",
  "bad-input": "DEVICE_INPUT_REFUSED",
  session: "DEVICE_SESSION_LOST",
  device: "DEVICE_FAILED",
  comm: "DEVICE_UNREACHABLE",
  busy: "DEVICE_BUSY",
  timeout: "DEVICE_TIMEOUT",
  integrity: "DEVICE_KEY_CHANGED",
};

/** The error that leaves a device for a fault of its library: one code for each kind, the library's code in the message. */
export function deviceErrorOf(fault: FaultFacts, cause?: unknown): DeviceError {
  const { kind, code, evict, retryable } = fault;
  return new DeviceError(codesOfKinds[kind], `${fault.message} (${code})`, cause, { kind, code, evict, retryable });
}
