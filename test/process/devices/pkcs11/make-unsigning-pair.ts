/** `node make-unsigning-pair.ts MODULE TOKEN PIN ID LABEL`: a P-256 key pair whose private key must not sign. */
import { PKCS11 } from "pkcs11js";
import { attributes, flags, mechanisms, normalUser } from "../../../../src/devices/pkcs11/constants.ts";
import { curves } from "../../../../src/devices/pkcs11/curves.ts";
import { attribute } from "../../../../src/devices/pkcs11/token-context.ts";

const [library = "", token = "", pin = "", id = "", label = ""] = process.argv.slice(2);
const module = new PKCS11();
module.load(library);
module.C_Initialize({ flags: flags.osLockingOk });
const slot = module.C_GetSlotList(true).find((each) => module.C_GetTokenInfo(each).label.trim() === token);
if (slot === undefined) throw new Error(`there is no token ${token}`);
const session = module.C_OpenSession(slot, flags.serialSession | flags.rwSession);
module.C_Login(session, normalUser, pin);
const name = [
  attribute(attributes.token, true),
  attribute(attributes.id, Buffer.from(id, "hex")),
  attribute(attributes.label, label),
];
module.C_GenerateKeyPair(
  session,
  { mechanism: mechanisms.ecKeyPairGen },
  [attribute(attributes.ecParams, curves.ECC_NIST_P256.params[0] ?? Buffer.alloc(0)), ...name],
  [
    attribute(attributes.sign, false),
    attribute(attributes.derive, true),
    attribute(attributes.private, true),
    attribute(attributes.sensitive, true),
    attribute(attributes.extractable, false),
    ...name,
  ],
);
module.C_Finalize();
