package api

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/access"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/edge/internal/protocol"
	"hydrant/edge/internal/quota"
	"hydrant/edge/internal/stats"
	"hydrant/edge/internal/wire"
	"hydrant/umf"
)

// caller is who sends a request to the clients' port, and what that is known by.
type caller struct {
	standing access.Standing // among administrators
	shown    bool            // their token, or a key: no business of services
	rights   *policy.Rights  // and whose they are
	address  netip.Addr
	account  *quota.Account // what it pays with; nil: administrators do not
}

// isAdmin reports whether the caller has the token of administrators.
func (c *caller) isAdmin() bool { return c.standing == access.Administrator }

var (
	errNotThere     = &refusal{status: http.StatusNotFound, text: "Resource not found"}
	errUnauthorized = &refusal{status: http.StatusUnauthorized, text: "Authorization needed"}
	errOrigin       = &refusal{status: http.StatusForbidden, text: "Origin is not allowed"}
	errMemory       = &refusal{status: http.StatusServiceUnavailable, text: "Node is short of memory"}
	errRate         = &refusal{status: http.StatusTooManyRequests, text: "Too much from this user or address"}
	errTokens       = &refusal{status: http.StatusTooManyRequests, text: "Too many wrong tokens of administrators from this address"}
	errUnchecked    = &refusal{status: http.StatusServiceUnavailable, text: "Authorization cannot be checked now"}
)

// admit finds out who sends a request and what it may do, and has it pay for that,
// before its body is read. All its errors are refusals.
func (a *API) admit(r *http.Request) (caller, error) {
	c := caller{address: peerOf(r)}
	if err := a.recognize(r, &c); err != nil || c.isAdmin() {
		return c, err
	}
	c.account = a.account(r, &c)
	if !c.account.Take(0, a.uptime()) {
		return c, a.overRate()
	}
	return c, nil
}

// peerOf is the address that a request comes from.
func peerOf(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// refuse answers with an error. Where the token of administrators would have opened what
// is refused, a wrong one counts.
func (a *API) refuse(w http.ResponseWriter, from *caller, err error) {
	var no *refusal
	if errors.As(err, &no) {
		switch no.status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
			a.countWrong(from.standing, stats.TokenHTTP, from.address)
			if no == errUnauthorized && from.standing == access.TooManyTokens {
				err = errTokens
			}
		}
	}
	refuse(w, err)
}

// account is that of a sender, or of its address. It is not in use for longer than the
// request, which is no reason to keep it.
func (a *API) account(r *http.Request, c *caller) *quota.Account {
	who := quota.Who{Identity: c.rights.Identity()}
	if who.Identity == "" {
		who.Address = wire.AddressKey(c.address)
		if wire.SharedAddress(r.Context()) {
			return a.node.Accounts.Free(who)
		}
	}
	account := a.node.Accounts.Open(who, a.uptime())
	a.node.Accounts.Close(account)
	return account
}

// uptime is what durations of quotas count from.
func (a *API) uptime() time.Duration { return time.Since(a.node.Started) }

func (a *API) overRate() error {
	a.node.Metrics.Dropped.Inc(stats.DropRate)
	return errRate
}

// recognize finds out who sends a request and what it may do.
func (a *API) recognize(r *http.Request, c *caller) error {
	n := &a.node
	authorization := field(r, "Authorization")
	switch {
	case n.Config.HttpApi == config.HTTPAPIOff:
		return errNotThere
	case !a.mayConnect(r):
		a.RefuseOrigin(field(r, "Origin"))
		return errOrigin
	}
	c.standing, c.shown = a.admins.Check(authorization, c.address, time.Now()), a.admins.Shown(authorization)
	switch {
	case c.isAdmin():
		c.rights = n.Rules.Operator()
		return nil
	case n.Config.HttpApi == config.HTTPAPIKey:
		key := a.keys.Find(authorization)
		if key == nil {
			return errUnauthorized
		}
		c.shown = true
		return a.entitle(c, access.Identity{Rules: key.Rules})
	case n.Config.Auth == config.AuthNone:
		return a.entitle(c, access.Identity{})
	}
	identity, err := a.identify(r)
	if errors.Is(err, access.ErrUnchecked) {
		n.Metrics.Dropped.Inc(stats.DropUnchecked)
		return errUnchecked
	}
	if err != nil {
		n.Log.Info("token refused", "address", r.RemoteAddr, "error", err)
		return errUnauthorized
	}
	return a.entitle(c, identity)
}

// mayConnect reports whether the origin of a request may connect; without one it may.
func (a *API) mayConnect(r *http.Request) bool {
	site := access.Site{Host: r.Host, Scheme: access.ForwardedScheme(strings.Join(r.Header.Values("X-Forwarded-Proto"), ","))}
	return access.Origins(a.node.Config.AllowedOrigins).Allow(field(r, "Origin"), site)
}

// entitle gives a caller the rights of a client, or of who has a key. Rules that are none
// let nobody in: they were to bind who came with them.
func (a *API) entitle(c *caller, id access.Identity) (err error) {
	n := &a.node
	if c.rights, err = n.Rules.Rights(id.Rules, id.Name); err != nil {
		if count := n.Metrics.Denied.Inc(policy.DeniedRules, time.Now()); count > 0 {
			n.Log.Warn("requests refused: what came as the rules of their senders is none", "count", count, "error", err)
		}
		return errUnauthorized
	}
	return nil
}

// identify checks the credentials of a client, as when it connects.
func (a *API) identify(r *http.Request) (access.Identity, error) {
	token := access.FindToken(plainRequest{r}, a.node.Config.AuthCookie)
	if a.node.Config.Auth == config.AuthJWT {
		return a.node.Tokens.Check(token)
	}
	return a.askService(r, token)
}

// askService asks EDGE_AUTH_SERVICE about a client.
func (a *API) askService(r *http.Request, token string) (access.Identity, error) {
	n := a.node.NATS()
	if n == nil || !a.node.Connected() || a.node.ShortOfMemory() {
		return access.Identity{}, access.ErrUnchecked
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	question, err := json.Marshal(access.Question{IP: ip, Origin: field(r, "Origin"), Token: token, URL: r.URL.RequestURI()})
	if err != nil {
		return access.Identity{}, err
	}
	service := a.node.Config.AuthService
	message := access.Ask(service, question)
	ctx, cancel := context.WithTimeout(r.Context(), a.node.Config.RequestTimeout)
	defer cancel()
	answer, err := n.Conn.RequestMsgWithContext(ctx, &nats.Msg{
		Subject: scheme.ServiceSubject(scheme.Service(service)), // config has parsed it
		Data:    message.Append(nil, a.node.Router, time.Now()),
	})
	if err != nil {
		return access.Identity{}, errors.Join(access.ErrUnchecked, err)
	}
	body := protocol.AnswerBody(new(umf.Envelope), answer.Data)
	return access.ReadVerdict(access.Answer{Header: answer.Header, Data: answer.Data, Body: body}, time.Now())
}

// header says to a service who sent a message.
func (c *caller) header() nats.Header {
	name := c.rights.Identity()
	if name == "" {
		return nil
	}
	return nats.Header{scheme.HeaderIdentity: {name}}
}

// field returns the value of a field. Of one that is there several times it has all
// values (RFC 9110 §5.3, RFC 6265 §5.4), as for connections.
func field(r *http.Request, name string) string {
	if name == "Cookie" {
		return strings.Join(r.Header.Values(name), "; ")
	}
	return strings.Join(r.Header.Values(name), ", ")
}

// plainRequest is a request without an upgrade as [access.FindToken] reads it. A
// cookie counts only with an origin, which was checked by then: browsers add cookies
// to requests that any page can have them send without one.
type plainRequest struct{ r *http.Request }

// Header implements [access.Handshake], as do the others.
func (p plainRequest) Header(name string) string {
	if name == "Cookie" && field(p.r, "Origin") == "" {
		return ""
	}
	return field(p.r, name)
}

func (p plainRequest) Protocols() []string { return nil }

func (p plainRequest) URI() string { return p.r.URL.RequestURI() }
