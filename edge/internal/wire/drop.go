package wire

import "fmt"

// Close codes that this package sends on its own: those of RFC 6455 §7.4.1 and the
// IANA registry, and two in the private range (RFC 6455 §7.4.2).
const (
	CodeNormal        = 1000
	CodeGoingAway     = 1001
	CodeProtocolError = 1002
	CodeNoStatus      = 1005 // never on the wire: the peer's close frame had no code
	CodeAbnormal      = 1006 // never on the wire: no close frame was received
	CodeInvalidData   = 1007
	CodePolicy        = 1008
	CodeTooBig        = 1009
	CodeOverload      = 1013
	CodeRate          = 4408
	CodeSlow          = 4409
)

// Drop says why a connection ended or was refused. The set is closed, and its
// names are the values of a metric label.
type Drop uint8

const (
	// Orderly ends.
	DropPeer     Drop = iota // the peer sent a close frame
	DropLocal                // the handler called Close
	DropAborted              // the handler called Abort
	DropShutdown             // the server shut down (1001)

	// The socket.
	DropEOF          // the peer ended the stream without a close frame
	DropReset        // reading or writing failed
	DropPingTimeout  // no sign of life for two ping intervals
	DropWriteTimeout // the peer took nothing for WriteTimeout
	DropStuck        // the handler discarded frames while one was half written

	// The peer's frames.
	DropProtocol    // RFC 6455 violated (1002)
	DropUTF8        // text or close reason that is not UTF-8 (1007)
	DropDeflate     // compressed data that does not inflate (1007)
	DropTooBig      // message over MaxMessage (1009)
	DropFragments   // message of more than MaxFragments frames (1008)
	DropMessageRate // more messages a second than allowed (4408)
	DropByteRate    // more bytes a second than allowed (4408)
	DropControlRate // more control frames a second than allowed (4408)
	DropOverload    // of all it holds most of the memory for messages under way, which is used up (1013)
	DropLateMessage // a message that took too long to arrive (1008)

	// Before the upgrade.
	DropHandshakeTimeout  // no complete request within HandshakeTimeout (408)
	DropHandshakeTooBig   // request head over MaxHandshake (431)
	DropHandshakeInvalid  // not an HTTP request, or not a proper upgrade (4xx)
	DropHandshakeGone     // the peer left before its request was complete
	DropHandshakeRejected // the handler refused
	DropTLS               // the TLS handshake failed
	DropProxyHeader       // a trusted proxy sent no valid PROXY header
	DropNodeFull          // MaxConnections
	DropAddressFull       // MaxConnectionsPerAddress
	DropPlainFull         // too many plain HTTP connections at once

	numDrops
)

// NumDrops is the number of Drop values.
const NumDrops = int(numDrops)

var dropNames = [numDrops]string{
	DropPeer:              "peer",
	DropLocal:             "local",
	DropAborted:           "aborted",
	DropShutdown:          "shutdown",
	DropEOF:               "eof",
	DropReset:             "reset",
	DropPingTimeout:       "ping_timeout",
	DropWriteTimeout:      "write_timeout",
	DropStuck:             "stuck",
	DropProtocol:          "protocol",
	DropUTF8:              "utf8",
	DropDeflate:           "deflate",
	DropTooBig:            "too_big",
	DropFragments:         "fragments",
	DropMessageRate:       "message_rate",
	DropByteRate:          "byte_rate",
	DropControlRate:       "control_rate",
	DropOverload:          "overload",
	DropLateMessage:       "late_message",
	DropHandshakeTimeout:  "handshake_timeout",
	DropHandshakeTooBig:   "handshake_too_big",
	DropHandshakeInvalid:  "handshake_invalid",
	DropHandshakeGone:     "handshake_gone",
	DropHandshakeRejected: "handshake_rejected",
	DropTLS:               "tls",
	DropProxyHeader:       "proxy_header",
	DropNodeFull:          "node_full",
	DropAddressFull:       "address_full",
	DropPlainFull:         "plain_full",
}

func (d Drop) String() string {
	if d < numDrops {
		return dropNames[d]
	}
	return fmt.Sprintf("drop_%d", uint8(d))
}

// CloseReason says how a connection ended.
type CloseReason struct {
	Code  int    // the code this side sent; else the peer's; CodeAbnormal if there was no close frame
	Text  string // the reason beside that code
	Cause Drop
}

// violation is a reason for this side to fail a connection (RFC 6455 §7.1.7).
type violation struct {
	code uint16
	drop Drop
	text string // sent to the peer; at most 123 bytes
}

func (v *violation) Error() string { return v.text }

var (
	errReservedBits   = &violation{CodeProtocolError, DropProtocol, "reserved bit set"}
	errReservedOpcode = &violation{CodeProtocolError, DropProtocol, "reserved opcode"}
	errUnmasked       = &violation{CodeProtocolError, DropProtocol, "frame not masked"}
	errControlFrag    = &violation{CodeProtocolError, DropProtocol, "fragmented control frame"}
	errControlLong    = &violation{CodeProtocolError, DropProtocol, "control frame over 125 bytes"}
	errLength         = &violation{CodeProtocolError, DropProtocol, "length not minimally encoded"}
	errLengthSign     = &violation{CodeProtocolError, DropProtocol, "length over 2^63-1"}
	errContinuation   = &violation{CodeProtocolError, DropProtocol, "continuation without a message"}
	errInterleaved    = &violation{CodeProtocolError, DropProtocol, "new message inside a fragmented one"}
	errCloseLength    = &violation{CodeProtocolError, DropProtocol, "close frame of one byte"}
	errCloseCode      = &violation{CodeProtocolError, DropProtocol, "invalid close code"}
	errCloseUTF8      = &violation{CodeInvalidData, DropUTF8, "close reason is not UTF-8"}
	errUTF8           = &violation{CodeInvalidData, DropUTF8, "text is not UTF-8"}
	errInflate        = &violation{CodeInvalidData, DropDeflate, "compressed data is damaged"}
	errTooBig         = &violation{CodeTooBig, DropTooBig, "message too big"}
	errFragments      = &violation{CodePolicy, DropFragments, "too many fragments"}
	errMessageRate    = &violation{CodeRate, DropMessageRate, "too many messages"}
	errByteRate       = &violation{CodeRate, DropByteRate, "too many bytes"}
	errControlRate    = &violation{CodeRate, DropControlRate, "too many control frames"}
	errLateMessage    = &violation{CodePolicy, DropLateMessage, "message took too long to arrive"}
	errOverload       = &violation{CodeOverload, DropOverload, "out of buffer memory"}
)
