import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

export const idleMs = 15 * 60 * 1000;
export const absoluteMs = 8 * 60 * 60 * 1000;
const idBytes = 32;
const maxSessions = 128;
const maxSessionsOfPrincipal = 8;

/** `__Host-`: a browser takes it only over TLS, for this host alone and for all of its paths (RFC 6265bis, 4.1.3.2). */
export const cookieName = "__Host-strongroom";

export interface Session {
  /** ARN. */
  readonly principal: string;
  /** Sent back in a header with everything that changes state; base64url of 256 random bits. */
  readonly csrfToken: string;
  /** SHA-256 of the public key of the client certificate that signed in, hex; undefined after a code. */
  readonly spkiSha256: string | undefined;
  /** By the clock of {@link Sessions}. */
  readonly endsAtMs: number;
}

interface OpenSession extends Session {
  lastUsedMs: number;
}

export interface SessionsOptions {
  /** Whether the principal may call, by the state of this moment; with a public key, whether that is still one of its own. */
  readonly isEnabled: (principal: string, spkiSha256?: string) => boolean;
  /** Milliseconds of a clock; the system's monotonic one by default. */
  readonly nowMs?: (() => number) | undefined;
}

/**
 * The sessions of people who signed in: in memory only, found by the SHA-256 of a random 256-bit id. One ends after 15
 * minutes without a request, after 8 hours whatever happens, at sign-out, and as soon as its principal is revoked or the
 * certificate it began with is replaced.
 */
export class Sessions {
  readonly #isEnabled: SessionsOptions["isEnabled"];
  readonly #nowMs: () => number;
  readonly #open = new Map<string, OpenSession>();

  constructor({ isEnabled, nowMs = () => performance.now() }: SessionsOptions) {
    this.#isEnabled = isEnabled;
    this.#nowMs = nowMs;
  }

  /** Opens a session; the answer's `id` goes into the cookie and is kept nowhere else. */
  begin(principal: string, spkiSha256?: string): { readonly id: string; readonly session: Session } {
    this.endOfRevoked();
    const mine = [...this.#open].filter(([, each]) => each.principal === principal);
    if (mine.length >= maxSessionsOfPrincipal) this.#endLeastRecent(mine);
    else if (this.#open.size >= maxSessions) this.#endLeastRecent([...this.#open]);
    const id = randomBytes(idBytes).toString("base64url");
    const nowMs = this.#nowMs();
    const session: OpenSession = {
      principal,
      csrfToken: randomBytes(idBytes).toString("base64url"),
      spkiSha256,
      endsAtMs: nowMs + absoluteMs,
      lastUsedMs: nowMs,
    };
    this.#open.set(nameOf(id), session);
    return { id, session };
  }

  /**
   * The session of this id, if it holds now. One that began with a certificate holds only beside that certificate.
   *
   * @param use - False for a look that does not keep the session from going idle.
   */
  find(id: string, spkiSha256: string | undefined, use = true): Session | undefined {
    const name = nameOf(id);
    const session = this.#open.get(name);
    if (session === undefined) return undefined;
    if (!this.#holds(session)) {
      this.#open.delete(name);
      return undefined;
    }
    if (session.spkiSha256 !== undefined && session.spkiSha256 !== spkiSha256) return undefined;
    if (use) session.lastUsedMs = this.#nowMs();
    return session;
  }

  end(id: string): void {
    this.#open.delete(nameOf(id));
  }

  /** Ends every session that no longer holds. Told of each change of principals, so that a restored one signs in anew. */
  endOfRevoked(): void {
    for (const [name, session] of this.#open) if (!this.#holds(session)) this.#open.delete(name);
  }

  get size(): number {
    return this.#open.size;
  }

  #holds(session: OpenSession): boolean {
    const nowMs = this.#nowMs();
    const isInTime = nowMs < session.endsAtMs && nowMs - session.lastUsedMs < idleMs;
    return isInTime && this.#isEnabled(session.principal, session.spkiSha256);
  }

  #endLeastRecent(sessions: readonly (readonly [string, OpenSession])[]): void {
    const [least] = sessions.toSorted(([, one], [, other]) => one.lastUsedMs - other.lastUsedMs);
    if (least !== undefined) this.#open.delete(least[0]);
  }
}

/** Whether a request carries the session's token. */
export function carriesToken(session: Session, header: string | undefined): boolean {
  const given = Buffer.from(header ?? "");
  const expected = Buffer.from(session.csrfToken);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** The `Set-Cookie` value of a session, or (no id) of its end. */
export function sessionCookie(id: string | undefined): string {
  const attributes = "Path=/; Secure; HttpOnly; SameSite=Strict";
  return id === undefined ? `${cookieName}=; Max-Age=0; ${attributes}` : `${cookieName}=${id}; ${attributes}`;
}

/** The session id that a `Cookie` header carries; undefined when it carries none, or more than one. */
export function idFromCookies(header: string | undefined): string | undefined {
  const values = (header ?? "")
    .split(";")
    .map((each) => each.trim())
    .filter((each) => each.startsWith(`${cookieName}=`));
  const id = values[0]?.slice(cookieName.length + 1);
  return values.length === 1 && id !== undefined && /^[A-Za-z0-9_-]{43}$/.test(id) ? id : undefined;
}

function nameOf(id: string): string {
  return createHash("sha256").update(id).digest("hex");
}
