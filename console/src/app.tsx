import { useEffect, useState } from "preact/hooks";
import { api, type Session, whenSessionEnds } from "./api.ts";
import { principalName } from "./names.ts";
import { Preferences } from "./preferences.tsx";
import { useSettings } from "./settings.tsx";
import { AuditView } from "./views/audit.tsx";
import { DevicesView } from "./views/devices.tsx";
import { EnclavesView } from "./views/enclaves.tsx";
import { IntegrationsView } from "./views/integrations.tsx";
import { KeysView } from "./views/keys.tsx";
import { NodesView } from "./views/nodes.tsx";
import { OverviewView } from "./views/overview.tsx";
import { SignIn } from "./views/sign-in.tsx";

const views = {
  overview: OverviewView,
  keys: KeysView,
  nodes: NodesView,
  enclaves: EnclavesView,
  devices: DevicesView,
  audit: AuditView,
  integrations: IntegrationsView,
} as const;

type ViewName = keyof typeof views;
const viewNames = Object.keys(views) as readonly ViewName[];

/** The whole page: sign-in, or the sections and the one that is open (its name is the address's fragment). */
export function App() {
  const { text } = useSettings();
  const [session, setSession] = useState<Session | null>();
  const [ended, setEnded] = useState(false);
  const view = useView();
  useEffect(() => {
    whenSessionEnds(() => {
      setSession((before) => {
        setEnded(before != null);
        return null;
      });
    });
    api.session().then(setSession, () => setSession(null));
  }, []);
  useEffect(() => {
    document.title = session ? `${text(`nav.${view}`)} · ${text("product")}` : text("product");
  }, [session, view, text]);
  if (session === undefined) return null;
  if (session === null) return <SignIn ended={ended} onSession={setSession} />;
  const View = views[view];
  const signOut = () => {
    setEnded(false);
    api.signOut().then(
      () => setSession(null),
      () => setSession(null),
    );
  };
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        {text("nav.skip")}
      </button>
      <header class="top">
        <p class="brand">
          <img src="/icon.svg" alt="" width="22" height="22" />
          {text("product")}
          <span class="account">
            {session.account} · {session.region}
          </span>
        </p>
        <div class="who">
          <Preferences />
          <span class="principal" title={session.principal}>
            {principalName(session.principal)}
          </span>
          <button type="button" onClick={signOut}>
            {text("action.signOut")}
          </button>
        </div>
      </header>
      <nav aria-label={text("nav.label")}>
        {viewNames.map((name) => (
          <a key={name} href={`#${name}`} aria-current={name === view ? "page" : undefined}>
            {text(`nav.${name}`)}
          </a>
        ))}
      </nav>
      <main id="main" tabIndex={-1}>
        <View key={view} />
      </main>
    </div>
  );
}

function useView(): ViewName {
  const read = () => viewNames.find((each) => `#${each}` === location.hash) ?? "overview";
  const [view, setView] = useState(read);
  useEffect(() => {
    const changed = () => setView(read());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return view;
}
