// Package wire is the connection layer: it accepts sockets, upgrades them to
// WebSockets (RFC 6455), and hands whole messages to a Handler.
package wire
