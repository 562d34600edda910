package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"hydrant/bus"
	"hydrant/edge"
	"hydrant/edge/internal/config"
)

func runHelp(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 1 && args[0] == "config" {
		return helpConfig(out)
	}
	if len(args) > 0 && args[0] != "-h" && args[0] != "-help" && args[0] != "--help" {
		return helpCommand(ctx, args, out)
	}
	fmt.Fprint(out, "Hydrant connects WebSocket clients with services on NATS.\n\nUsage: hydrant <command> [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprint(out, wrapped(fmt.Sprintf("  %-13s", c.name), strings.Repeat(" ", 15), c.summary))
	}
	_, err := fmt.Fprint(out, `
Each command prints its flags with -h. Start with `+"`hydrant demo`"+`.

The exit status is 0, or 1 where something failed, a check too, or 2 where the
command was called in a wrong way. Results go to standard output; what went
wrong, and what takes longer than a second, to standard error.

A node leaves in order on SIGTERM, SIGINT (Ctrl-C), SIGHUP (the terminal is
closed), SIGUSR1, or POST /drain on its admin listener: /readyz fails at once,
clients are closed over EDGE_DRAIN_TIMEOUT, and it ends with status 0. A second
SIGTERM or SIGINT ends it at once. No signal reloads settings; the files of
EDGE_TLS_CERT, EDGE_TLS_KEY and NATS_… are read again by themselves.
`)
	return err
}

// helpCommand prints the flags of a command, or of one below it.
func helpCommand(ctx context.Context, args []string, out io.Writer) error {
	for _, c := range commands() {
		if c.name == args[0] && (len(args) == 1 || len(args) == 2 && args[1] == c.sub) {
			return c.run(ctx, append(args[1:], "-h"), out)
		}
	}
	return fmt.Errorf("%w: no help for %q; see `hydrant help`", errUsage, strings.Join(args, " "))
}

// helpConfig prints every setting with its default: the table of deploy/README.md.
func helpConfig(out io.Writer) error {
	for _, v := range append(config.Variables(), config.Describe("", &bus.Config{})...) {
		head := v.Name
		if v.Default != "" {
			head += "=" + v.Default
		}
		if v.Unit != "" {
			head += " (" + v.Unit + ")"
		}
		fmt.Fprintf(out, "%s\n%s", head, wrapped("    ", "    ", v.Text))
	}
	_, err := fmt.Fprint(out, tracingHelp+`
Durations are written 500ms, 25s, 24h; sizes 64KiB, 1MiB, 1GiB. Unknown EDGE_
variables and bad values stop the start. Without NATS_URL the node runs NATS
with JetStream in its own process.
`)
	return err
}

func runVersion(_ context.Context, args []string, out io.Writer) error {
	if err := parse(newFlags("version", ""), args); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "hydrant", edge.Version)
	return err
}
