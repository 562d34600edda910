// Package accounts writes the part of nats-server's configuration that says who may do
// what: accounts, users, permissions, and what accounts have of each other.
//
// # Two forms
//
// Isolated, which is the default: nodes and JetStream are in the account EDGE, and each
// service is in one of its own, SVC_<name>. A service has of EDGE what is listed there as
// exports, and nothing else is there for it, whatever its permissions. It sees its own
// messages only, and what it has a server send, as the answers of JetStream, stays in its
// account.
//
// Shared: all are users of the account EDGE. A user's permissions keep a service from
// reading others' traffic, but answers of the server go wherever a question asks for
// them: a service that turns evil can harm sessions.
//
// What is stored belongs to an account, and none can be given another name. So the one
// of nodes keeps the name that it has in the file that is there: versions before there
// were accounts of services called it HYDRANT.
//
// # Design
//
// What goes to a service are streams between accounts, not services: as services they
// would cost the server some 300 bytes for two minutes for each message that nobody
// answers. So an answer is a message of its own, on reply or req, which EDGE exports; an
// inbox of EDGE is not reachable.
//
// Passwords are variables, which another file sets, so that this one is no secret and
// does not change with them.
package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hydrant/bus/scheme"
)

// ErrServices: names that cannot be services' here.
var ErrServices = errors.New("accounts: services")

// Names of accounts on the servers.
const (
	Edge          = "EDGE"
	System        = "SYS"
	servicePrefix = "SVC_"
)

// PasswordsFile is the name of the file, beside this one, with the variables.
const PasswordsFile = "passwords.conf"

// Reloads is how often servers are told to reload after a change. nats-server 2.15 lets a
// new account have what others share with it only by the reload after the one that made
// it.
const Reloads = 2

// Config is what the configuration is for.
type Config struct {
	Services []scheme.Service
	// Shared puts all into one account.
	Shared bool
	// Nodes is the account of nodes, and of what they store. Default [Edge].
	Nodes string
}

// edge is the account of nodes.
func (c *Config) edge() string { return cmp.Or(c.Nodes, Edge) }

// Streams is the number of mailbox streams that nodes may have: of all that can be.
const Streams = scheme.MaxStreams

// Account is the name of a service's account.
func (c *Config) Account(service scheme.Service) string {
	if c.Shared {
		return c.edge()
	}
	return servicePrefix + string(service)
}

// reserved are users that are there in any case.
var reserved = []string{scheme.UserEdge, scheme.UserSetup, scheme.UserAdmin, scheme.UserSystem}

// Users are all users, each with its own password.
func (c *Config) Users() []string {
	users := slices.Clone(reserved)
	for _, s := range c.Services {
		users = append(users, string(s))
	}
	return users
}

// Variable is the name of the variable with a user's password.
func Variable(user string) string { return variablePrefix + user }

const variablePrefix = "NATS_PASSWORD_"

// UserOf is the user whose password a variable has.
func UserOf(variable string) (user string, ok bool) {
	return strings.CutPrefix(variable, variablePrefix)
}

// check refuses names that would be another's.
func (c *Config) check() error {
	if edge := c.edge(); !scheme.ValidName(edge) || edge == System || strings.HasPrefix(edge, servicePrefix) {
		return fmt.Errorf("%w: %q cannot be the account of nodes", ErrServices, edge)
	}
	users := make(map[string]bool)
	for _, user := range c.Users() {
		if !scheme.ValidName(user) {
			return fmt.Errorf("%w: %q is no name", ErrServices, user)
		}
		if users[user] {
			return fmt.Errorf("%w: %q is there twice, or is the name of a user that is always there", ErrServices, user)
		}
		users[user] = true
	}
	return nil
}

// Text is the configuration, for a file that nats-server includes.
func (c *Config) Text() (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	w := new(writer)
	w.line("# Who may do what. Written by `hydrant setup nats`, which a change is to be made by:")
	w.line("#   hydrant setup nats %s", c.flags())
	w.line("# The passwords are variables of another file, which is secret.")
	w.line("include %q", PasswordsFile)
	w.open("accounts {")
	w.open("%s {", c.edge())
	w.line("jetstream: enabled")
	w.open("users: [")
	w.user(scheme.UserEdge, scheme.NodePermissions(Streams))
	w.user(scheme.UserSetup, scheme.SetupPermissions(Streams))
	w.line("# `hydrant sessions`, the nats tool, backups: everything in this account.")
	w.line("{ user: %q, password: $%s }", scheme.UserAdmin, Variable(scheme.UserAdmin))
	if c.Shared {
		for _, s := range c.Services {
			w.user(string(s), scheme.ServicePermissions(s, scheme.APIPrefix))
		}
	}
	w.close("]")
	if !c.Shared {
		c.edgeShares(w)
	}
	w.close("}")
	if !c.Shared {
		for _, s := range c.Services {
			c.service(w, s)
		}
	}
	w.line("# Server events and `nats server report`. No messages of Hydrant pass here.")
	w.open("%s {", System)
	w.line("users: [{ user: %q, password: $%s }]", scheme.UserSystem, Variable(scheme.UserSystem))
	w.close("}")
	w.close("}")
	w.line("system_account: %s", System)
	return w.String(), nil
}

// flags are those of the command that writes this.
func (c *Config) flags() string {
	var names []string
	for _, s := range c.Services {
		names = append(names, string(s))
	}
	text := "-services " + strings.Join(names, ",")
	if c.Shared {
		text += " -shared"
	}
	if c.edge() != Edge {
		text += " -account " + c.edge()
	}
	return text
}
