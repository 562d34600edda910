// Prints how many bytes each client is, bundled and minified by esbuild, and compressed.
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const clients = {
  hydrant: `export { connect } from "../../../edge/client/js/hydrant.js"`,
  partysocket: `export { WebSocket } from "partysocket"`,
  phoenix: `export { Socket } from "phoenix"`,
  socketio: `export { io } from "socket.io-client"`,
  centrifuge: `export { Centrifuge } from "centrifuge"`,
};
for (const [name, contents] of Object.entries(clients)) {
  const { outputFiles } = await build({ stdin: { contents, resolveDir: import.meta.dirname }, bundle: true, format: "esm", minify: true, write: false });
  console.log(name, gzipSync(outputFiles[0].contents, { level: 9 }).length);
}
