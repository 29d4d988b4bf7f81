import { useState } from "preact/hooks";
import { api, type KeyDescription } from "../api.ts";
import { useLoaded } from "../loading.ts";
import { keyName, nodeName, principalName } from "../names.ts";
import { Confirm, type Question } from "../parts/confirm.tsx";
import { KeyDetails } from "../parts/key-details.tsx";
import { Paged } from "../parts/paged.tsx";
import { Problem } from "../parts/problem.tsx";
import { Section } from "../parts/section.tsx";
import { StateBadge } from "../parts/state-badge.tsx";
import { Table } from "../parts/table.tsx";
import { useSettings } from "../settings.tsx";

export function KeysView() {
  const { text, time } = useSettings();
  const { value: keys, error, reload } = useLoaded(api.keys);
  const [question, setQuestion] = useState<Question & { readonly done: string }>();
  const [shown, setShown] = useState<KeyDescription>();
  const [notice, setNotice] = useState<string>();
  const ask = async (key: KeyDescription, verb: "disable" | "enable") => {
    const name = keyName(key);
    // Who is affected is named where the reader may see it; the question is asked in any case.
    const grants = await api.grants(key.keyId).catch(() => []);
    const affected = [...new Set(grants.map(({ grantee }) => grantee))].map((grantee) => {
      const node = nodeName(grantee);
      return node === undefined
        ? text("confirm.callerOnKey", { name: principalName(grantee), key: name })
        : text("confirm.nodeOnKey", { name: node, key: name });
    });
    const stops = verb === "disable";
    setQuestion({
      title: text(stops ? "confirm.disableKey" : "confirm.enableKey", { key: name }),
      meaning: text(stops ? "confirm.disableKeyStops" : "confirm.enableKeyStarts"),
      affected: affected.length > 0 ? affected : [text("confirm.noGrants")],
      stops,
      verb: text(stops ? "action.disable" : "action.enable"),
      act: () => api.setKeyState(key.keyId, verb),
      done: text(stops ? "done.keyDisabled" : "done.keyEnabled", { key: name }),
    });
  };
  const done = () => {
    setNotice(question?.done);
    setQuestion(undefined);
    reload();
  };
  return (
    <Section title={text("nav.keys")} intro={text("keys.intro")} onRefresh={reload} notice={notice}>
      <Problem error={error} />
      {keys === undefined && error === undefined && <p class="empty">{text("common.loading")}</p>}
      {keys?.length === 0 && <p class="empty">{text("keys.empty")}</p>}
      {keys !== undefined && keys.length > 0 && (
        <Paged items={keys} textOf={foundBy}>
          {(page) => (
            <Table
              caption={text("nav.keys")}
              columns={[
                text("keys.key"),
                text("common.state"),
                text("keys.spec"),
                text("keys.origin"),
                { right: text("keys.version") },
                text("common.created"),
              ]}
              actions
              card
            >
              {page.map((key) => (
                <tr key={key.keyId} data-key={key.keyId}>
                  <td>
                    <button type="button" class="link strong" onClick={() => setShown(key)}>
                      {key.aliases[0] ?? text("keys.noAlias")}
                    </button>
                    <span class="mono quiet block">{key.keyId}</span>
                  </td>
                  <td>
                    <StateBadge state={key.state} />
                    {key.deletionAt !== null && (
                      <span class="quiet block">
                        {text("keys.deletionAt")} {time(key.deletionAt)}
                      </span>
                    )}
                  </td>
                  <td>
                    {key.spec} <span class="quiet">{key.usage}</span>
                  </td>
                  <td>{key.origin}</td>
                  <td class="right">{key.currentVersion}</td>
                  <td class="nowrap">{time(key.createdAt)}</td>
                  <td class="right">
                    {key.state === "enabled" && (
                      <button type="button" class="danger quiet-button" onClick={() => ask(key, "disable")}>
                        {text("action.disable")}
                      </button>
                    )}
                    {key.state === "disabled" && (
                      <button type="button" onClick={() => ask(key, "enable")}>
                        {text("action.enable")}
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </Table>
          )}
        </Paged>
      )}
      {shown !== undefined && <KeyDetails keyShown={shown} onClose={() => setShown(undefined)} />}
      {question !== undefined && <Confirm question={question} onDone={done} onCancel={() => setQuestion(undefined)} />}
    </Section>
  );
}

function foundBy({ keyId, aliases, description, state, spec, usage, origin }: KeyDescription): string {
  return [keyId, ...aliases, description, state, spec, usage, origin].join(" ");
}
