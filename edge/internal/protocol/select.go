package protocol

import (
	"slices"
	"strings"
)

// Subprotocol is that of clients of the second edition which do not confirm
// messages: it is there to be selected.
const Subprotocol = "umf.v1"

// secretProtocols begin subprotocols that carry a secret, and behind them comes a dot.
// What is selected stands in the answer, and so in logs and in front of whoever reads
// the page's socket.
var secretProtocols = []string{strings.TrimSuffix(SubprotocolAuth, "."), strings.TrimSuffix(SubprotocolResume, ".")}

// Select chooses among the subprotocols that a client offers: umf.ack.v1, else
// umf.v1, else the first, as in Hydra Router, where these two are unknown. One that
// carries a secret is never chosen; ok is false if there is nothing else, since
// browsers end a connection where they offered some and none was selected. second
// says whether one of the two was offered.
func Select(offered []string) (chosen string, second, ok bool) {
	for _, name := range []string{SubprotocolAck, Subprotocol} {
		if slices.Contains(offered, name) {
			return name, true, true
		}
	}
	for _, name := range offered {
		if !carriesSecret(name) {
			return name, false, true
		}
	}
	return "", false, len(offered) == 0
}

// carriesSecret compares without case, and takes any mark for the dot: a token that is
// misspelt is none, and still a secret. So may be what is no name of a subprotocol
// (RFC 6455 §4.1), such as one in quotes.
func carriesSecret(name string) bool {
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
		return true
	}
	return slices.ContainsFunc(secretProtocols, func(prefix string) bool {
		return len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) && !isAlphanumeric(name[len(prefix)])
	})
}

func isAlphanumeric(c byte) bool { return c-'0' <= 9 || (c|0x20)-'a' <= 25 }
