// Reads one JSON string a line, each the text of a message, and writes for each
// what the hydra library makes of it: {canonical, signature}. Or {skip: true}
// where the library fills in a mid or a timestamp of its own, so that nothing
// can be compared.
'use strict';

const readline = require('readline');
const UMFMessage = require(require.resolve('hydra/lib/umfmessage', {paths: [process.argv[2]]}));
const secret = process.argv[3];

const lines = readline.createInterface({input: process.stdin, crlfDelay: Infinity});
lines.on('line', line => {
  const received = JSON.parse(JSON.parse(line));
  if (!received.mid || !(received.timestamp || received.ts)) {
    console.log(JSON.stringify({skip: true}));
    return;
  }
  const message = UMFMessage.createMessage(received);
  message.signMessage('sha256', secret);
  const {signature, ...covered} = message.toJSON();
  console.log(JSON.stringify({canonical: JSON.stringify(covered), signature}));
});
