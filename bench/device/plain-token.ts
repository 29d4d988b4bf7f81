/**
 * A plain loop over pkcs11js in one process: C_SignInit and C_Sign of one key, as fast as they go.
 * argv: module, token label, key id (hex). Takes the PIN and then orders over its channel; answers with what it has measured.
 */
import { randomBytes } from "node:crypto";
import { PKCS11 } from "pkcs11js";
import type { LoopFigures } from "./load.ts";

const [, , library = "", label = "", id = ""] = process.argv;
const rwSession = 4 | 2;
const user = 1;
const attributes = { class: 0, id: 0x102 };
const privateKey = 3;
const ecdsa = 0x1041;

const module = new PKCS11();
let session: Buffer | undefined;
let key: Buffer | undefined;

process.on("message", (order: { readonly pin: string } | { readonly seconds: number }) => {
  process.send?.("pin" in order ? open(order.pin) : sign(order.seconds));
});
process.on("disconnect", () => process.exit());

function open(pin: string): string {
  module.load(library);
  module.C_Initialize({ flags: 2 });
  const slot = module.C_GetSlotList(true).find((each) => module.C_GetTokenInfo(each).label.trim() === label);
  if (slot === undefined) throw new Error(`there is no token ${label}`);
  session = module.C_OpenSession(slot, rwSession);
  module.C_Login(session, user, pin);
  module.C_FindObjectsInit(session, [
    { type: attributes.class, value: privateKey },
    { type: attributes.id, value: Buffer.from(id, "hex") },
  ]);
  [key] = module.C_FindObjects(session, 1);
  module.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error(`the token has no key ${id}`);
  return "ready";
}

function sign(seconds: number): LoopFigures {
  if (session === undefined || key === undefined) throw new Error("not opened");
  const out = Buffer.alloc(64);
  const cpuBefore = process.cpuUsage();
  const beganMs = performance.now();
  const endsMs = beganMs + seconds * 1000;
  let made = 0;
  while (performance.now() < endsMs) {
    module.C_SignInit(session, { mechanism: ecdsa }, key);
    module.C_Sign(session, randomBytes(32), out);
    made += 1;
  }
  const tookMs = performance.now() - beganMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { perSecond: (made * 1000) / tookMs, cpuUs: (user + system) / made };
}
