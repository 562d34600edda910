package accounts

import (
	"strings"

	"hydrant/bus/scheme"
)

// share is what one account has of another. A stream comes from there; a service is asked
// there.
type share struct {
	kind, subject string
	many          bool   // of a service: several answers
	to            string // in the importing account; empty: the same subject
}

// common are what all services have of the edge: answers, pushes, work for each other,
// and what happens to sessions.
func common() []share {
	return []share{
		{kind: "stream", subject: scheme.PrefixEvent + ">"},
		{kind: "service", subject: scheme.PrefixReply + ">"},
		{kind: "service", subject: scheme.PrefixRequest + ">"},
		{kind: "service", subject: scheme.PrefixOut + ">"},
		{kind: "service", subject: scheme.PushedWildcard},
		{kind: "service", subject: scheme.PrefixWork + "*"},
		{kind: "service", subject: scheme.ExistsWildcard},
	}
}

// own are what one service has of the edge: the messages of clients, and its work queue.
func own(s scheme.Service) []share {
	name := string(s)
	api := func(subject func(string, scheme.Service) string) (there, here string) {
		return subject(scheme.APIPrefix, s), subject(scheme.EdgeAPIPrefix, s)
	}
	info, infoHere := api(scheme.WorkInfoSubject)
	next, nextHere := api(scheme.WorkNextSubject)
	return []share{
		{kind: "stream", subject: scheme.ServiceSubject(s)},
		{kind: "stream", subject: scheme.PrefixInstance + name + ".*"},
		{kind: "service", subject: info, to: infoHere},
		{kind: "service", subject: next, to: nextHere, many: true},
		{kind: "service", subject: scheme.AckPrefix + scheme.WorkStream + "." + name + ".>"},
		{kind: "service", subject: scheme.DeadSubject(s)},
	}
}

// discovery is what the edge has of each service.
var discovery = share{kind: "service", subject: "$SRV.>", many: true}

// edgeShares are the exports and imports of the edge's account.
func (c *Config) edgeShares(w *writer) {
	var all []string
	for _, s := range c.Services {
		all = append(all, c.Account(s))
	}
	w.open("exports: [")
	if len(all) > 0 {
		for _, x := range common() {
			w.export(x, all...)
		}
	}
	for _, s := range c.Services {
		for _, x := range own(s) {
			w.export(x, c.Account(s))
		}
	}
	w.close("]")
	w.open("imports: [")
	for _, s := range c.Services {
		w.imports(discovery, c.Account(s))
	}
	w.close("]")
}

// service is a service's account.
func (c *Config) service(w *writer, s scheme.Service) {
	w.open("%s {", c.Account(s))
	w.open("users: [")
	w.user(string(s), scheme.ServicePermissions(s, scheme.EdgeAPIPrefix))
	w.close("]")
	w.open("exports: [")
	w.export(discovery, c.edge())
	call := func(s scheme.Service) share { return share{kind: "service", subject: scheme.CallSubject(s)} }
	var others []string
	for _, other := range c.Services {
		if other != s {
			others = append(others, c.Account(other))
		}
	}
	if len(others) > 0 {
		w.export(call(s), others...)
	}
	w.close("]")
	w.open("imports: [")
	for _, x := range append(common(), own(s)...) {
		w.imports(x, c.edge())
	}
	for _, other := range c.Services {
		if other != s {
			w.imports(call(other), c.Account(other))
		}
	}
	w.close("]")
	w.close("}")
}

func (w *writer) export(x share, to ...string) {
	more := ""
	if x.many {
		more = ", response_type: stream"
	}
	w.line("{ %s: %q, accounts: [%s]%s }", x.kind, x.subject, strings.Join(to, ", "), more)
}

func (w *writer) imports(x share, from string) {
	more := ""
	if x.to != "" {
		more = `, to: "` + x.to + `"`
	}
	w.line("{ %s: { account: %s, subject: %q }%s }", x.kind, from, x.subject, more)
}
