import { render } from "preact";
import { App } from "./app.tsx";
import { SettingsProvider } from "./settings.tsx";
import "./style.css";

const place = document.getElementById("app");
if (place !== null)
  render(
    <SettingsProvider>
      <App />
    </SettingsProvider>,
    place,
  );
