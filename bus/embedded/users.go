package embedded

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"

	"hydrant/bus/local"
	"hydrant/bus/scheme"
)

// secure gives the server its users, with the passwords of the data directory.
func (o *Options) secure(so *server.Options) (passwords map[string]string, err error) {
	switch {
	case o.Open && !so.DontListen && !local.Loopback(so.Host):
		return nil, fmt.Errorf("%w: listen address %s: without users only on loopback", ErrStart, o.Listen)
	case o.Open:
		return nil, nil
	case o.Cluster != nil:
		return nil, fmt.Errorf("%w: members of a cluster have no users", ErrStart)
	}
	passwords = make(map[string]string)
	for user, p := range map[string]scheme.Permissions{
		scheme.UserEdge:    scheme.OwnNodePermissions(scheme.MaxStreams),
		scheme.UserService: scheme.OwnServicePermissions(),
	} {
		if passwords[user], err = local.Password(o.DataDir, user); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrStart, err)
		}
		so.Users = append(so.Users, &server.User{Username: user, Password: passwords[user], Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: p.Publish},
			Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
			Response:  &server.ResponsePermission{MaxMsgs: p.Responses, Expires: p.Within},
		}})
	}
	return passwords, nil
}

// announce writes down where the server listens, for programs on this machine.
func (o *Options) announce(ns *server.Server) error {
	if o.Open || o.NoListen {
		return nil
	}
	if err := local.Announce(o.DataDir, local.Reachable(ns.Addr())); err != nil {
		ns.Shutdown()
		ns.WaitForShutdown()
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	return nil
}
