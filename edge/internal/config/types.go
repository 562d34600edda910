package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hydrant/bus/scheme"
)

// Auth says who may connect.
type Auth uint8

const (
	AuthNone    Auth = iota // everybody
	AuthJWT                 // who has a valid JSON Web Token
	AuthService             // whom EDGE_AUTH_SERVICE admits
)

// Decode implements envconfig.Decoder.
func (a *Auth) Decode(text string) error { return decodeWord(a, text, "none", "jwt", "service") }

// Expiry says whether tokens must end.
type Expiry uint8

const (
	ExpiryRequired Expiry = iota // a token without exp is none
	ExpiryOptional               // one without exp holds for ever
)

// Decode implements envconfig.Decoder.
func (e *Expiry) Decode(text string) error { return decodeWord(e, text, "required", "optional") }

// Signature says whether messages must be signed.
type Signature uint8

const (
	SignatureOff      Signature = iota // signatures are not looked at
	SignatureRequired                  // every message carries a valid one
)

// Decode implements envconfig.Decoder.
func (s *Signature) Decode(text string) error { return decodeWord(s, text, "off", "required") }

// SignatureFrom says which from a signed message may have.
type SignatureFrom uint8

const (
	SignatureFromAny     SignatureFrom = iota // old clients sign any that names no session
	SignatureFromSession                      // the session of the connection
)

// Decode implements envconfig.Decoder.
func (s *SignatureFrom) Decode(text string) error { return decodeWord(s, text, "any", "session") }

// Resume says what a client shows to get back a plain session.
type Resume uint8

const (
	ResumeOpen  Resume = iota // its id
	ResumeToken               // its secret as well
)

// Decode implements envconfig.Decoder.
func (r *Resume) Decode(text string) error { return decodeWord(r, text, "open", "token") }

// RouterAPI says who may read the router API.
type RouterAPI uint8

const (
	RouterAPIOpen  RouterAPI = iota // every client
	RouterAPIAdmin                  // administrators
)

// Decode implements envconfig.Decoder.
func (r *RouterAPI) Decode(text string) error { return decodeWord(r, text, "open", "admin") }

// HTTPAPI says who may use the router API and POST over HTTP on the clients' port.
type HTTPAPI uint8

const (
	HTTPAPIOpen HTTPAPI = iota // who may connect
	HTTPAPIKey                 // who has a key of EDGE_HTTP_KEYS_FILE
	HTTPAPIOff                 // it is not there
)

// Decode implements envconfig.Decoder.
func (a *HTTPAPI) Decode(text string) error { return decodeWord(a, text, "open", "key", "off") }

// LogFormat says how the log is written.
type LogFormat uint8

const (
	LogAuto LogFormat = iota // text on a terminal, else JSON
	LogText
	LogJSON
)

// Decode implements envconfig.Decoder.
func (f *LogFormat) Decode(text string) error { return decodeWord(f, text, "auto", "text", "json") }

// decodeWord reads a setting that takes one of a few words, whose values count
// from zero in the order of the words.
func decodeWord[T ~uint8](to *T, text string, words ...string) error {
	i := slices.Index(words, text)
	if i < 0 {
		return notAmong(text, words)
	}
	*to = T(i)
	return nil
}

// notAmong is the error about a word that a setting does not take.
func notAmong(text string, words []string) error {
	return fmt.Errorf("%q is none of %s", text, strings.Join(words, ", "))
}

// Level is the least level that is logged. It implements [slog.Leveler].
type Level slog.Level

// Level returns it as package slog has it.
func (l Level) Level() slog.Level { return slog.Level(l) }

// Decode implements envconfig.Decoder. [slog.Level.UnmarshalText] would also take
// INFO and info+2.
func (l *Level) Decode(text string) error {
	var words []string
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		word := strings.ToLower(level.String())
		if text == word {
			*l = Level(level)
			return nil
		}
		words = append(words, word)
	}
	return notAmong(text, words)
}

// Size is a number of bytes, written as 1048576, 512KiB, 1MiB, 2GiB, 64KB, 1MB.
type Size int64

// Decode implements envconfig.Decoder.
func (s *Size) Decode(text string) error {
	units := []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}
	text = strings.TrimSpace(text)
	for _, unit := range units {
		digits, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit.factor {
			return fmt.Errorf("%q is not a size such as 512KiB or 1MiB", text)
		}
		*s = Size(n * unit.factor)
		return nil
	}
	return nil
}

// Service is the name of a service.
type Service scheme.Service

// Decode implements envconfig.Decoder.
func (s *Service) Decode(text string) error {
	service, err := scheme.ParseService(strings.TrimSpace(text))
	if err != nil || service == scheme.ClientService {
		return fmt.Errorf("%q is not a service name ([A-Za-z0-9_-], at most 64)", text)
	}
	*s = Service(service)
	return nil
}

// Prefix is an address or a network.
type Prefix netip.Prefix

// Decode implements envconfig.Decoder.
func (p *Prefix) Decode(text string) error {
	text = strings.TrimSpace(text)
	prefix, err := netip.ParsePrefix(text)
	if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a network", text)
	}
	// Peers' addresses are IPv4 however they come, and would not be in ::ffff:0:0/96.
	const mapped = 96
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-mapped)
	}
	*p = Prefix(prefix.Masked())
	return nil
}
