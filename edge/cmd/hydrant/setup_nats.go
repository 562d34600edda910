package main

import (
	"errors"
	"fmt"
	"io"

	"hydrant/bus/accounts"
)

// runSetupNATS writes who may do what on the NATS servers.
func runSetupNATS(args []string, out io.Writer) error {
	flags := newFlags("setup nats", `
Writes accounts.conf, passwords.conf and users/<user>.env into the folder. Users
that were there keep their passwords, the account of nodes keeps its name, and
services that are not named any more go.
nats-server includes the first, which includes the second. A change is a reload
of each server (SIGHUP), and a second one for services that are new.
`)
	dir := flags.String("dir", ".", "folder to write to")
	list := flags.String("services", "", "all services, comma separated")
	shared := flags.Bool("shared", false, "all in one account: a service that turns evil can then harm sessions, but not read others' traffic")
	account := flags.String("account", "", "`name` of the account of nodes and of all that is stored; empty: as in the accounts.conf that is there, else "+accounts.Edge)
	if err := parse(flags, args); err != nil {
		return err
	}
	services, err := parseServices("-services", *list)
	if err != nil {
		return err
	}
	c := accounts.Config{Services: services, Shared: *shared, Nodes: *account}
	if err := c.Write(*dir); err != nil {
		if errors.Is(err, accounts.ErrServices) {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return err
	}
	_, err = fmt.Fprintf(out, "%s: nodes in account %s, %d services; have the servers include %s, and reload them %d times\n",
		*dir, c.Nodes, len(services), accounts.AccountsFile, accounts.Reloads)
	return err
}
