package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"hydrant/bus/scheme"
	"hydrant/edge/internal/config"
	"hydrant/edge/internal/policy"
	"hydrant/umf"
)

const policyHelp = `
hydrant policy check [flags] [address ...]

prints what a client may do, or for each address whether it may write there:
svc:/path, ID@svc:/, svc:[GET]/path; with -queue whether it may store work for
the service. The exit status is 1 if the rule set is none, or an address is
denied.
` + environmentHelp

// errDenied: the rules do not allow one of the addresses.
var errDenied = errors.New("not everything is allowed")

// runPolicy has one subcommand, check.
func runPolicy(_ context.Context, args []string, out io.Writer) error {
	flags := newFlags("policy", policyHelp)
	rules := flags.String("rules", "", "rule set as JSON; else EDGE_POLICY")
	file := flags.String("file", "", "file with the rule set; - is standard input")
	user := flags.String("user", "", "identity of the client; empty: it has none")
	queue := flags.Bool("queue", false, "the addresses are of work queues")
	if len(args) > 0 && args[0] == "check" {
		args = args[1:]
	} else if len(args) == 0 || !strings.HasPrefix(args[0], "-h") && !strings.HasPrefix(args[0], "--h") {
		return fmt.Errorf("%w: `hydrant policy check` is what there is; see `hydrant policy -h`", errUsage)
	}
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return parse(flags, []string{"-h"})
	}
	if err != nil {
		return fmt.Errorf("%w: %w; see `hydrant policy -h`", errUsage, err)
	}
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	text, err := ruleText(flags, *rules, *file, cfg.Policy)
	if err != nil {
		return err
	}
	book, err := policy.NewBook("", cfg.AuthService)
	if err != nil {
		return err
	}
	rights, err := book.Rights(text, *user)
	if err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return printRights(out, rights, &cfg)
	}
	return judge(out, rights, &cfg, flags.Args(), *queue)
}

// ruleText is the rule set that is asked about; "": there is none.
func ruleText(flags *flag.FlagSet, rules, file, fallback string) (string, error) {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case given["rules"] && given["file"]:
		return "", fmt.Errorf("%w: -rules or -file; see `hydrant policy -h`", errUsage)
	case given["rules"]:
		return something(rules)
	case given["file"]:
		var data []byte
		var err error
		if file == "-" {
			data, err = io.ReadAll(os.Stdin)
		} else {
			data, err = os.ReadFile(file)
		}
		if err != nil {
			return "", err
		}
		return something(string(data))
	}
	return fallback, nil
}

// something is a rule set that was handed over, and so is not the absence of one.
func something(text string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("%w: it is empty", policy.ErrRules)
	}
	return text, nil
}

// printRights prints what is allowed.
func printRights(out io.Writer, r *policy.Rights, cfg *config.Config) error {
	list := func(names []string) string {
		if len(names) == 0 {
			return "none"
		}
		return strings.Join(names, " ")
	}
	clients := map[policy.Scope]string{
		policy.Nobody: "none", policy.Anybody: "any session whose id it knows",
		policy.User: fmt.Sprintf("the sessions of %q", r.Identity()),
	}[r.Clients()]
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "services\t%s\nqueues\t%s\nclients\t%s\n", list(r.Services()), list(r.Queues()), clients)
	fmt.Fprintf(table, "never\t%s (EDGE_AUTH_SERVICE)\n", cfg.AuthService)
	fmt.Fprintf(table, "always\tanswers to messages that it was sent; %s itself\n", cfg.ServiceName)
	return table.Flush()
}

// judge prints for each address whether the client may write there.
func judge(out io.Writer, r *policy.Rights, cfg *config.Config, addresses []string, queue bool) error {
	may := r.Service
	if queue {
		may = r.Queue
	}
	denied := false
	for _, text := range addresses {
		address, err := umf.ParseAddress(text)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %q is no address, such as svc:/; see `hydrant policy -h`", errUsage, text)
		case address.Service == scheme.ClientService, address.Service == cfg.ServiceName:
			return fmt.Errorf("%w: %q is not the address of a service", errUsage, text)
		}
		if why, ok := may(address.Service); !ok {
			denied = true
			fmt.Fprintf(out, "denied   %s  %s\n", text, why.Text())
			continue
		}
		fmt.Fprintf(out, "allowed  %s\n", text)
	}
	if denied {
		return errDenied
	}
	return nil
}
