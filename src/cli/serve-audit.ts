import type { Command } from "commander";
import type { ForwardTarget } from "../server/audit-forward/target.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { readSecretFile } from "./unlock-secret.ts";

/** Where `serve` sends audit records. */
export interface AuditForwardOptions {
  readonly auditSyslog?: readonly string[];
  readonly auditWebhook?: string;
  readonly auditWebhookSecretFile?: string;
}

/** Adds the options that name the places. */
export function withAuditForwarding(command: Command): Command {
  return command
    .option(
      "--audit-syslog <address...>",
      "send audit records to a syslog server (RFC 5424): unix:/dev/log, udp:HOST:PORT or tcp:HOST:PORT",
    )
    .option("--audit-webhook <url>", "send audit records to an https: address (http: on loopback only)")
    .option("--audit-webhook-secret-file <file>", "signs them (HMAC-SHA256): at least 16 bytes, mode 0600 or 0400");
}

/** @throws {CommandFailure} 2 */
export async function forwardTargets(options: AuditForwardOptions): Promise<readonly ForwardTarget[]> {
  const { auditSyslog = [], auditWebhook, auditWebhookSecretFile } = options;
  if ((auditWebhook === undefined) !== (auditWebhookSecretFile === undefined))
    throw new CommandFailure(exitCodes.usage, "--audit-webhook and --audit-webhook-secret-file go together");
  const targets: ForwardTarget[] = [];
  try {
    if (auditSyslog.length > 0) {
      const { parseSyslogAddress, syslogTarget } = await import("../server/audit-forward/syslog-target.ts");
      for (const address of auditSyslog) targets.push(syslogTarget(parseSyslogAddress(address)));
    }
    if (auditWebhook !== undefined && auditWebhookSecretFile !== undefined) {
      const { WebhookTarget } = await import("../server/audit-forward/webhook-target.ts");
      using secret = readSecretFile(auditWebhookSecretFile);
      targets.push(new WebhookTarget({ url: auditWebhook, secret }));
    }
  } catch (cause) {
    for (const target of targets) target.close();
    if (!(cause instanceof RangeError)) throw cause;
    throw new CommandFailure(exitCodes.usage, cause.message);
  }
  if (new Set(targets.map(({ id }) => id)).size === targets.length) return targets;
  for (const target of targets) target.close();
  throw new CommandFailure(exitCodes.usage, "a place for audit records is named twice");
}
