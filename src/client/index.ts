/** What `strongroom/client` offers to other programs. */
export type { Context } from "../crypto/context.ts";
export { SecretBuffer } from "../crypto/secret-buffer.ts";
export type { WrappedKey } from "./answers.ts";
export { KeyManagerClient, type ServerList } from "./client.ts";
export { type Enrolment, enroll } from "./enroll.ts";
export { decodeEnrolmentToken, type EnrolmentToken, encodeEnrolmentToken } from "./enrolment-token.ts";
export { ClientError, type ClientErrorCode, clientErrors } from "./errors.ts";
export type { ExchangeOptions } from "./exchange.ts";
export type {
  AuditRecord,
  AuditVerdict,
  Checkpoint,
  Grant,
  IssuedCertificates,
  KeyDescription,
  LegacyEntry,
  PrincipalDescription,
} from "./protocol.ts";
export type { ClientIdentity } from "./transport.ts";
