import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { api, type Grant, type KeyDescription } from "../api.ts";
import { useLoaded } from "../loading.ts";
import { keyName, nodeName, principalName } from "../names.ts";
import { useSettings } from "../settings.tsx";
import { Confirm, type Question } from "./confirm.tsx";
import { Dialog } from "./dialog.tsx";
import { Paged } from "./paged.tsx";
import { Problem } from "./problem.tsx";
import { StateBadge } from "./state-badge.tsx";
import { Table } from "./table.tsx";

interface KeyDetailsProps {
  readonly keyShown: KeyDescription;
  readonly onClose: () => void;
}

/** One master key in full: versions, aliases, policy, grants. */
export function KeyDetails({ keyShown: key, onClose }: KeyDetailsProps) {
  const { text, time } = useSettings();
  const policy = useLoaded(() => api.policy(key.keyId), [key.keyId]);
  const grants = useLoaded(() => api.grants(key.keyId), [key.keyId]);
  const [question, setQuestion] = useState<Question>();
  const revoke = (grant: Grant) => {
    const node = nodeName(grant.grantee);
    const name = keyName(key);
    const what =
      node === undefined
        ? text("confirm.callerOnKey", { name: principalName(grant.grantee), key: name })
        : text("confirm.nodeOnKey", { name: node, key: name });
    setQuestion({
      title: text("confirm.revokeGrant"),
      meaning: text("confirm.revokeGrantStops"),
      affected: [what],
      stops: true,
      verb: text("action.revoke"),
      act: () => api.revokeGrant(key.keyId, grant.id),
    });
  };
  const done = () => {
    setQuestion(undefined);
    grants.reload();
  };
  return (
    <Dialog title={keyName(key)} wide onClose={onClose}>
      <dl>
        <Fact name={text("common.state")}>
          <StateBadge state={key.state} />
        </Fact>
        <Fact name={text("keys.id")}>{key.keyId}</Fact>
        <Fact name={text("keys.arn")}>{key.arn}</Fact>
        <Fact name={text("keys.aliases")}>{key.aliases.join(", ") || text("common.none")}</Fact>
        {key.description !== "" && <Fact name={text("keys.description")}>{key.description}</Fact>}
        <Fact name={text("keys.versions")}>
          {key.versions.map(({ version, createdAt }) => `${version} (${time(createdAt)})`).join(", ")}
        </Fact>
      </dl>
      <h3>{text("keys.grants")}</h3>
      <Problem error={grants.error} />
      {grants.value?.length === 0 && <p class="empty">{text("keys.noGrants")}</p>}
      {grants.value !== undefined && grants.value.length > 0 && (
        <Paged items={grants.value} textOf={({ id, grantee, name = "" }) => `${id} ${grantee} ${name}`}>
          {(page) => (
            <Table
              columns={[text("grant.grantee"), text("grant.operations"), text("grant.context"), text("grant.notAfter")]}
              actions
            >
              {page.map((grant) => (
                <tr key={grant.id}>
                  <td class="nowrap">{principalName(grant.grantee)}</td>
                  <td class="small">{grant.operations.join(", ")}</td>
                  <td class="mono small">{contextOf(grant) ?? text("grant.anyContext")}</td>
                  <td class="nowrap">{grant.notAfter === undefined ? text("grant.forever") : time(grant.notAfter)}</td>
                  <td class="right">
                    <button type="button" class="danger quiet-button" onClick={() => revoke(grant)}>
                      {text("action.revoke")}
                    </button>
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Paged>
      )}
      <h3>{text("keys.policy")}</h3>
      <Problem error={policy.error} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard. */}
      {policy.value !== undefined && <pre tabIndex={0}>{indented(policy.value)}</pre>}
      <div class="buttons">
        <button type="button" onClick={onClose}>
          {text("action.close")}
        </button>
      </div>
      {question !== undefined && <Confirm question={question} onDone={done} onCancel={() => setQuestion(undefined)} />}
    </Dialog>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="mono">{children}</dd>
    </div>
  );
}

function contextOf({ constraints }: Grant): string | undefined {
  const pairs = constraints?.encryptionContextEquals ?? constraints?.encryptionContextSubset;
  if (pairs === undefined) return undefined;
  const words = Object.entries(pairs).map(([name, value]) => `${name}=${value}`);
  return constraints?.encryptionContextSubset === undefined ? words.join(" ") : [...words, "…"].join(" ");
}

function indented(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
