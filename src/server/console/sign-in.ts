import type { IncomingMessage } from "node:http";
import type { Caller, CustodyService } from "../../custody/service.ts";
import { FailureLimit } from "../fisco/failure-limit.ts";
import { inForce, type PeerCertificate } from "../native/peer-certificate.ts";
import { ConsoleError } from "./errors.ts";
import type { OneTimeCodes } from "./one-time-codes.ts";
import type { Session, Sessions } from "./sessions.ts";

/** Wrong codes from one address at once; one more is forgiven every ten seconds. From all addresses: ten times that. */
const burst = 10;
const perSecond = 0.1;
const everybody = "everybody";

export interface SignInOptions {
  readonly custody: CustodyService;
  readonly codes: OneTimeCodes;
  readonly sessions: Sessions;
  /** Of a request's connection; undefined without one that this key manager issued. */
  readonly certificate: (request: IncomingMessage) => PeerCertificate | undefined;
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** Milliseconds of the clock that failed attempts are forgiven by. @defaultValue `performance.now` */
  readonly nowMs?: (() => number) | undefined;
}

type Begun = { readonly id: string; readonly session: Session };

/** The two ways into the console: a one-time code, or the client certificate of a user. Both are on record. */
export class SignIn {
  readonly #options: SignInOptions;
  readonly #failures: FailureLimit;
  readonly #allFailures: FailureLimit;

  constructor(options: SignInOptions) {
    this.#options = options;
    const nowMs = options.nowMs === undefined ? {} : { nowMs: options.nowMs };
    this.#failures = new FailureLimit({ burst, perSecond, ...nowMs });
    this.#allFailures = new FailureLimit({ burst: burst * 10, perSecond: perSecond * 10, ...nowMs });
  }

  /** SHA-256 of the public key of the request's certificate, hex; undefined without one that is in force. */
  certificateOf(request: IncomingMessage): string | undefined {
    const certificate = this.#options.certificate(request);
    if (certificate === undefined || !inForce(certificate, this.#options.clock())) return undefined;
    return certificate.spkiSha256.toString("hex");
  }

  /**
   * @param readCode - Read only when this peer may try; the code is wiped.
   * @throws {ConsoleError} `SIGN_IN_REFUSED`, `TOO_MANY_ATTEMPTS`.
   */
  async withCode(stranger: Caller, readCode: () => Promise<Buffer>): Promise<Begun> {
    this.#mustBeWithinLimits(stranger.peer);
    const typed = await readCode();
    let principal: string | undefined;
    try {
      // Again: others that began beside this one may have failed while its body came.
      this.#mustBeWithinLimits(stranger.peer);
      principal = this.#options.codes.redeem(typed);
    } finally {
      typed.fill(0);
    }
    if (principal === undefined || !this.#options.custody.isEnabled(principal)) {
      this.#failures.countFailure(stranger.peer);
      this.#allFailures.countFailure(everybody);
      throw new ConsoleError("SIGN_IN_REFUSED");
    }
    return await this.#begin({ ...stranger, principal }, "code", undefined);
  }

  /** @throws {ConsoleError} `SIGN_IN_REFUSED`. */
  async withCertificate(stranger: Caller, request: IncomingMessage): Promise<Begun> {
    const spki = this.certificateOf(request);
    if (spki === undefined) throw new ConsoleError("SIGN_IN_REFUSED");
    const { door, peer, requestId } = stranger;
    const known = await this.#options.custody.principalOfPublicKey(Buffer.from(spki, "hex"), { door, peer, requestId });
    if (known?.state !== "enabled" || known.kind !== "user") throw new ConsoleError("SIGN_IN_REFUSED");
    return await this.#begin({ ...stranger, principal: known.arn }, "certificate", spki);
  }

  #mustBeWithinLimits(peer: string): void {
    if (this.#failures.exhausted(peer) || this.#allFailures.exhausted(everybody))
      throw new ConsoleError("TOO_MANY_ATTEMPTS");
  }

  /** No record, no session. */
  async #begin(caller: Caller, means: "code" | "certificate", spki: string | undefined): Promise<Begun> {
    await this.#options.custody.acknowledge(caller, "strongroom:ConsoleSignIn", { means });
    return this.#options.sessions.begin(caller.principal, spki);
  }
}
