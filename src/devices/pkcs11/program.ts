import type { PKCS11 } from "pkcs11js";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { DeviceFault } from "../native/fault.ts";
import type { DeviceProgram, DeviceSession, OpenedDevice } from "../native/program.ts";
import { type Pkcs11Config, pkcs11ConfigSchema } from "./config.ts";
import { flags, loggedInState } from "./constants.ts";
import { KeyFinder } from "./key-finder.ts";
import { bindLogin, type Login, logIn } from "./login.ts";
import { type FoundToken, findToken, type Handle, loadModule, slotNumber, unpadded } from "./module.ts";
import { asFault, faultOfReturnCode } from "./return-codes.ts";
import { type ProvenToken, selfTest } from "./self-test.ts";
import { longestSignedBytes } from "./signed.ts";
import { TokenSession } from "./token-session.ts";

/**
 * A PKCS#11 token, in the device's own process.
 *
 * One session is kept open as long as the device is, because a token forgets the login with its last session; the PIN is sent
 * once for all sessions, and again only when the token says that nobody is logged in any more.
 */
export const program: DeviceProgram = {
  async open(given, pin): Promise<OpenedDevice> {
    const parsed = pkcs11ConfigSchema.safeParse(given);
    if (!parsed.success)
      throw new DeviceFault({
        kind: "bad-input",
        code: "CONFIG_INVALID",
        message: `the token's configuration is not valid at ${parsed.error.issues[0]?.path.join(".") ?? "its top"}: ${parsed.error.issues[0]?.message ?? ""}`,
      });
    const config = parsed.data;
    const module = await loadModule(config.library, config.librarySha256);
    try {
      const token = findToken(module, config);
      const login = await bindLogin(config.library);
      const keeper = open(module, token);
      logIn(login, keeper, token, pin, config);
      const proven = await selfTest(module, token.slot, keeper, config);
      return new OpenedToken({ module, token, keeper, proven, config, login, pin });
    } catch (error) {
      // The process ends after this: what the module thinks of it does not matter.
      try {
        module.C_Finalize();
      } catch {}
      throw asFault(error, `opening the token of ${config.library}`);
    }
  },
};

interface OpenedTokenParts {
  readonly module: PKCS11;
  readonly token: FoundToken;
  readonly keeper: Handle;
  readonly proven: ProvenToken;
  readonly config: Pkcs11Config;
  readonly login: Login;
  readonly pin: SecretBuffer | undefined;
}

class OpenedToken implements OpenedDevice {
  readonly info: Readonly<Record<string, string | number | boolean>>;
  readonly #parts: OpenedTokenParts;
  readonly #keys = new KeyFinder();

  constructor(parts: OpenedTokenParts) {
    this.#parts = parts;
    const { module, token, proven, config } = parts;
    const library = module.C_GetInfo();
    const version = ({ major, minor }: { major: number; minor: number }) => `${major}.${minor}`;
    this.info = {
      kind: "pkcs11",
      library: config.library,
      libraryDescription: unpadded(library.libraryDescription),
      libraryManufacturer: unpadded(library.manufacturerID),
      libraryVersion: version(library.libraryVersion),
      cryptoki: version(library.cryptokiVersion),
      token: token.label,
      serial: token.serial,
      slot: Number(slotNumber(token.slot)),
      manufacturer: unpadded(token.info.manufacturerID),
      model: unpadded(token.info.model),
      firmware: version(token.info.firmwareVersion),
      wrap: proven.wrap,
      curves: proven.curves.join(","),
      macs: proven.macs.join(","),
      restrictsMechanisms: proven.restrictsMechanisms,
      knownAnswers: proven.knownAnswers,
      threads: config.threads,
    };
  }

  async openSession(): Promise<DeviceSession> {
    const { module, token, keeper, proven, config, login, pin } = this.#parts;
    try {
      const session = open(module, token);
      if (pin !== undefined && module.C_GetSessionInfo(session).state !== loggedInState) {
        const fresh = { ...token, info: module.C_GetTokenInfo(token.slot) };
        logIn(login, keeper, fresh, pin, config);
        if (module.C_GetSessionInfo(session).state !== loggedInState)
          throw faultOfReturnCode(0x101, `a new session with the token "${token.label}"`);
      }
      const { gcmLayout, restrictsMechanisms } = proven;
      const { threads } = config;
      const own = { session, signatureRoom: Buffer.alloc(longestSignedBytes) };
      return new TokenSession({ ...own, module, threads, gcmLayout, restrictsMechanisms, keys: this.#keys });
    } catch (error) {
      throw asFault(error, `opening a session with the token "${token.label}"`);
    }
  }

  async close(): Promise<void> {
    const { module, token } = this.#parts;
    try {
      module.C_CloseAllSessions(token.slot);
      module.C_Finalize();
    } catch (error) {
      throw asFault(error, `closing the token "${token.label}"`);
    } finally {
      module.close();
    }
  }
}

function open(module: PKCS11, token: FoundToken): Handle {
  try {
    return module.C_OpenSession(token.slot, flags.serialSession | flags.rwSession);
  } catch (error) {
    throw asFault(error, `opening a session with the token "${token.label}"`);
  }
}
