package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/policy"
)

// settingErrors collects what is wrong with the settings, one error for each.
type settingErrors []error

func (e *settingErrors) bad(name, format string, args ...any) {
	*e = append(*e, fmt.Errorf("%w: EDGE_%s: %s", ErrConfig, name, fmt.Sprintf(format, args...)))
}

func (e *settingErrors) oneOf(name, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		e.bad(name, "%v", notAmong(value, allowed))
	}
}

func (e *settingErrors) positive(name string, d time.Duration) {
	if d <= 0 {
		e.bad(name, "%s is not above zero", d)
	}
}

func (e *settingErrors) notNegative(name string, d time.Duration) {
	if d < 0 {
		e.bad(name, "%s is below zero", d)
	}
}

func (e *settingErrors) between(name string, n, least, most int) {
	if n < least || n > most {
		e.bad(name, "%d is not between %d and %d", n, least, most)
	}
}

// address checks the form of an address to listen on.
func (e *settingErrors) address(name, text string) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		e.bad(name, "%q is no address to listen on, such as :5353 or 127.0.0.1:5353", text)
	}
}

// Bounds of a session's life. NATS counts in seconds; and what is kept longer
// than sessions live must be a duration, too.
const (
	minTTL = time.Second
	maxTTL = 10 * 365 * 24 * time.Hour
)

// minRate is the slowest rate that means something: a message in a quarter of
// an hour.
const minRate = 0.001

// sampleSecret stands in the published examples of the original: a node that
// runs with it would accept anybody's signature.
const sampleSecret = "d632dd6d-fb75-44cc-bdbf-ee1364f3716c"

func (c *Config) check() error {
	var e settingErrors
	e.address("LISTEN", c.Listen)
	if c.AdminListen != "" {
		e.address("ADMIN_LISTEN", c.AdminListen)
	}
	e.address("NATS_LISTEN", c.NatsListen)
	if !scheme.ValidName(c.ServiceName) {
		e.bad("SERVICE_NAME", "%q is not a service name ([A-Za-z0-9_-], at most 64)", c.ServiceName)
	}
	if c.ServiceName == scheme.ClientService {
		e.bad("SERVICE_NAME", "client is what addresses of sessions have")
	}
	c.checkStore(&e)
	c.checkTimes(&e)
	c.checkLimits(&e)
	c.checkAccess(&e)
	return errors.Join(e...)
}

func (c *Config) checkStore(e *settingErrors) {
	if c.SessionTTL < minTTL {
		e.bad("SESSION_TTL", "%s is below %s", c.SessionTTL, minTTL)
	}
	if c.SessionTTL > maxTTL {
		e.bad("SESSION_TTL", "%s is above ten years", c.SessionTTL)
	}
	if !scheme.ValidStreams(c.MailboxStreams) {
		e.bad("MAILBOX_STREAMS", "%d is none of 1, 2, 4, 8, 16, 32", c.MailboxStreams)
	}
	e.between("STREAM_REPLICAS", c.StreamReplicas, 0, 5)
	e.between("QUEUE_LIMIT", c.QueueLimit, 1, 1_000_000)
	if c.StoreBytes != 0 && c.StoreBytes < 1<<20 {
		e.bad("STORE_BYTES", "%d is neither 0 nor from 1MiB on", c.StoreBytes)
	}
	if c.QueueBytes < 64<<10 || c.QueueBytes > 1<<40 {
		e.bad("QUEUE_BYTES", "%d is not between 64KiB and 1TiB", c.QueueBytes)
	}
}

// maxLinger bounds EDGE_LINGER.
const maxLinger = time.Hour

func (c *Config) checkTimes(e *settingErrors) {
	e.positive("HANDSHAKE_TIMEOUT", c.HandshakeTimeout)
	e.positive("WRITE_TIMEOUT", c.WriteTimeout)
	e.positive("REQUEST_TIMEOUT", c.RequestTimeout)
	e.positive("PING_INTERVAL", c.PingInterval)
	e.notNegative("LINGER", c.Linger)
	if c.Linger > maxLinger {
		e.bad("LINGER", "%s is above an hour: what is kept has to be younger than what mailboxes keep", c.Linger)
	}
	e.notNegative("DRAIN_GRACE", c.DrainGrace)
	e.notNegative("DRAIN_TIMEOUT", c.DrainTimeout)
	e.notNegative("SIGNATURE_WINDOW", c.SignatureWindow)
	if c.SignatureWindow > c.SessionTTL/2 {
		e.bad("SIGNATURE_WINDOW", "%s is more than half of EDGE_SESSION_TTL, for which NATS remembers what was sent", c.SignatureWindow)
	}
	if c.MaxConnectionAge != 0 && c.MaxConnectionAge < time.Second || c.MaxConnectionAge > 365*24*time.Hour {
		e.bad("MAX_CONNECTION_AGE", "%s is neither 0 nor between 1s and a year", c.MaxConnectionAge)
	}
}

func (c *Config) checkLimits(e *settingErrors) {
	e.between("WINDOW", c.Window, 1, 65536)
	if c.MaxMessage < 1024 || c.MaxMessage > 64<<20 {
		e.bad("MAX_MESSAGE", "%d is not between 1KiB and 64MiB", c.MaxMessage)
	}
	if c.MaxHead < 1024 || c.MaxHead > 48<<10 {
		e.bad("MAX_HEAD", "%d is not between 1KiB and 48KiB", c.MaxHead)
	}
	if c.WriteBuffer < 4096 || c.WriteBuffer > 1<<30 {
		e.bad("WRITE_BUFFER", "%d is not between 4KiB and 1GiB", c.WriteBuffer)
	}
	e.between("MAX_CONNECTIONS", c.MaxConnections, 0, math.MaxInt32)
	e.between("MAX_CONNECTIONS_PER_ADDRESS", c.MaxConnectionsPerAddress, 0, math.MaxInt32)
	if c.RateMessages != 0 && !(c.RateMessages >= minRate) || math.IsInf(c.RateMessages, 0) { // NaN is not >= anything
		e.bad("RATE_MESSAGES", "%v is neither 0 nor a number of messages a second from %v on", c.RateMessages, minRate)
	}
}

func (c *Config) checkAccess(e *settingErrors) {
	if c.Signature == SignatureRequired && len(c.SignatureKeys) == 0 {
		e.bad("SIGNATURE_KEYS", "needed with EDGE_SIGNATURE=required")
	}
	for _, key := range c.SignatureKeys {
		switch {
		case key == sampleSecret:
			e.bad("SIGNATURE_KEYS", "the published sample secret protects nothing")
		case key == "":
			e.bad("SIGNATURE_KEYS", "a secret is empty")
		case len(key) < minSecret:
			e.bad("SIGNATURE_KEYS", "a secret is shorter than %d characters", minSecret)
		}
	}
	if c.AdminToken != "" && len(c.AdminToken) < minSecret {
		e.bad("ADMIN_TOKEN", "is shorter than %d characters", minSecret)
	}
	if strings.TrimSpace(c.AdminToken) != c.AdminToken {
		e.bad("ADMIN_TOKEN", "begins or ends with white space, which no header field can carry")
	}
	c.checkAuth(e)
	if (c.HttpApi == HTTPAPIKey) != (c.HttpKeysFile != "" || len(c.HttpKeys) > 0) {
		e.bad("HTTP_KEYS_FILE", "it and EDGE_HTTP_API=key go together")
	}
	if _, err := policy.NewBook(c.Policy, c.AuthService); err != nil {
		e.bad("POLICY", "%v", err)
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		e.bad("PROXY_PROTOCOL", "EDGE_TRUSTED_PROXIES has to name the proxies that speak it")
	}
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		e.bad("TLS_CERT", "certificate and key go together")
	case c.TLSCert != "":
		if _, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			e.bad("TLS_CERT", "%v", err)
		}
	}
}

// tokenAlgorithms are the signature algorithms that a token may have (RFC 7518
// §3.1, RFC 8037).
var tokenAlgorithms = []string{"EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384", "HS512"}

// checkAuth refuses what would turn every client away.
func (c *Config) checkAuth(e *settingErrors) {
	if len(c.AuthAlgorithms) == 0 {
		e.bad("AUTH_ALGORITHMS", "no token could have any")
	}
	for _, algorithm := range c.AuthAlgorithms {
		e.oneOf("AUTH_ALGORITHMS", algorithm, tokenAlgorithms...)
	}
	if !scheme.ValidName(c.AuthService) {
		e.bad("AUTH_SERVICE", "%q is not a service name", c.AuthService)
	}
	if c.Auth == AuthService && (c.AuthService == c.ServiceName || c.AuthService == scheme.ClientService) {
		e.bad("AUTH_SERVICE", "%q is what clients and the router are called", c.AuthService)
	}
	if u, err := url.Parse(c.AuthJwksUrl); c.AuthJwksUrl != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		e.bad("AUTH_JWKS_URL", "is no address of https or http")
	}
	isPublic := func(algorithm string) bool { return !strings.HasPrefix(algorithm, "HS") }
	if c.Auth == AuthJWT && c.AuthJwksUrl != "" && !slices.ContainsFunc(c.AuthAlgorithms, isPublic) {
		e.bad("AUTH_ALGORITHMS", "no token could have any: a key set has public keys, and HMAC needs a secret")
	}
	if c.Auth == AuthJWT && c.AuthKeyFile == "" && c.AuthJwksUrl == "" {
		e.bad("AUTH_KEY_FILE", "it or EDGE_AUTH_JWKS_URL is needed with EDGE_AUTH=jwt")
	}
}
