// Command hydrant is the Hydrant edge node and its tools. `hydrant help` lists
// the subcommands, `hydrant help config` the settings.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// command is one subcommand.
type command struct {
	name, summary string
	sub           string // the command that this one has below it, if any
	run           func(ctx context.Context, args []string, out io.Writer) error
}

// environmentHelp ends the help of commands that read settings.
const environmentHelp = "Settings are environment variables: see `hydrant help config`.\n"

func commands() []command {
	return []command{
		{"demo", "two nodes, a service and clients on the embedded NATS, with a short tour", "", runDemo},
		{"serve", "run one edge node, configured by the environment", "", runServe},
		{"echo", "run the example service, which replies to every message", "", runEcho},
		{"send", "send messages, print what comes; the exit status says what became of them", "", runSend},
		{"listen", "print what comes for a session, and confirm it", "", runListen},
		{"sign", "sign a UMF message read from standard input", "", runSign},
		{"healthcheck", "ask the node of this configuration whether it is alive, or ready: exit status 0 or 1", "", runHealthcheck},
		{"doctor", "check NATS, permissions, streams and this machine for a node of this configuration", "", runDoctor},
		{"setup", "make streams, bucket and work queues, so that nodes need no right to; with `nats` write the servers' configuration", "nats", runSetup},
		{"policy", "check: what a rule set allows to a client", "check", runPolicy},
		{"sessions", "list the sessions: node, state, behind by how many", "", runSessions},
		{"size", "say what a load needs: nodes, NATS servers, memory, disk", "", runSize},
		{"completion", "print what completes commands and flags in bash, and in zsh", "bash", runCompletion},
		{"version", "print the version", "", runVersion},
		{"help", "print this; with `config` the settings, with a command its flags", "", runHelp},
	}
}

// errUsage marks mistakes in how the command was called: exit status 2.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	ctx = onHangup(ctx)
	err := run(ctx, os.Args[1:], os.Stdout)
	var other *status
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "hydrant:", err)
		os.Exit(2)
	case errors.As(err, &other):
		fmt.Fprintln(os.Stderr, "hydrant:", err)
		os.Exit(other.code)
	default:
		fmt.Fprintln(os.Stderr, "hydrant:", err)
		os.Exit(1)
	}
}

// onHangup returns a context that ends with ctx, or when the terminal goes away. The
// signal comes from the shell and from the kernel, so that a second one means
// nothing. Under nohup it means nothing at all.
func onHangup(ctx context.Context) context.Context {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		<-hangups
		cancel()
	}()
	return ctx
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return runHelp(ctx, nil, out)
	}
	name := args[0]
	switch name {
	case "-h", "--help":
		name = "help"
	case "-v", "--version":
		name = "version"
	}
	if name == demoNodeCommand {
		return runDemoNode(ctx, args[1:], out)
	}
	for _, c := range commands() {
		if c.name == name {
			return c.run(ctx, args[1:], out)
		}
	}
	return fmt.Errorf("%w: no such command %q; see `hydrant help`", errUsage, name)
}

// newFlags are those of a command. more ends what -h prints.
func newFlags(name, more string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.Usage = func() {
		out := flags.Output()
		title := "hydrant " + name + "\n" // of one below another
		for _, c := range commands() {
			if c.name == name {
				title = wrapped("hydrant "+name+": ", "  ", c.summary)
			}
		}
		fmt.Fprint(out, title, "\n")
		printFlags(out, flags)
		fmt.Fprint(out, fitted(more))
	}
	return flags
}

// parse reads flags and refuses arguments beyond them. A mistake is told in
// one line; -h prints the flags and is [flag.ErrHelp].
func parse(flags *flag.FlagSet, args []string) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(os.Stdout)
		flags.Usage()
		return err
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	if err != nil {
		return fmt.Errorf("%w: %w; see `hydrant %s -h`", errUsage, err, flags.Name())
	}
	return nil
}
