// Command reverts takes the mends of known outages out of Hydrant, one after another,
// and has chaos look for each of them: a run in which nothing is found proves
// something only if it would have been.
//
//	reverts [-only NAME] [-seed 1] [-seeds 5]
//
// It takes what chaos takes: Linux, root, iproute2 and nftables. It prints a table,
// and exits 0 only if each was found, by what it breaks; with -seeds 0, if each can be
// built.
//
// Chaos is compiled with other files in the place of those that have the mend, and
// passes that on to the nodes that it builds, by GOFLAGS. No file of the module is
// changed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"hydrant/integration/harness"
)

var errNotFound = errors.New("reverts: chaos notices nothing")

func main() {
	only := flag.String("only", "", "the only one to try")
	seed := flag.Uint64("seed", 1, "the first seed")
	seeds := flag.Int("seeds", 5, "how many runs may pass before it is found; 0: only build what there is without it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := harness.ModuleRoot()
	if err == nil {
		fmt.Println("| Without the mend | run | found | by |\n|---|---|---|---|")
		for _, r := range reverts {
			if *only == "" || *only == r.name {
				err = errors.Join(err, try(ctx, &r, root, *seed, *seeds))
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// try prints the row of one revert.
func try(ctx context.Context, r *revert, root string, seed uint64, seeds int) error {
	dir, err := os.MkdirTemp("", "reverts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program, env, err := build(ctx, r, root, dir)
	if err != nil || seeds == 0 {
		return err
	}
	for n := range seeds {
		flags := append(slices.Clone(r.run), "-seed", fmt.Sprint(seed+uint64(n)), "-clocks=false", "-history", filepath.Join(dir, "history.jsonl"))
		cmd := exec.CommandContext(ctx, program, flags...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has servers to end
		cmd.Dir, cmd.Env = root, env
		out, err := cmd.CombinedOutput()
		kinds := found(string(out))
		noticed := slices.ContainsFunc(kinds, func(kind string) bool { return slices.Contains(r.kinds, kind) })
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case noticed:
			fmt.Printf("| %s | `chaos %s` | in run %d | %s |\n", r.without, strings.Join(r.run, " "), n+1, strings.Join(kinds, ", "))
			return nil
		case err != nil && len(kinds) == 0: // it could not be made
			fmt.Fprintf(os.Stderr, "%s: seed %d: %v\n%s\n", r.name, seed+uint64(n), err, out[max(0, len(out)-2000):])
		default:
			fmt.Fprintf(os.Stderr, "%s: seed %d: %v\n", r.name, seed+uint64(n), kinds)
		}
	}
	fmt.Printf("| %s | `chaos %s` | not in %d runs | |\n", r.without, strings.Join(r.run, " "), seeds)
	return fmt.Errorf("%w: %s", errNotFound, r.name)
}

// build compiles chaos without the mend, and returns the environment in which it
// builds its nodes without it, too. That they can be built is seen here.
func build(ctx context.Context, r *revert, root, dir string) (program string, env []string, err error) {
	replace, err := r.apply(root, dir)
	if err != nil {
		return "", nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", nil, err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		return "", nil, err
	}
	env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+list))
	program = filepath.Join(dir, "chaos")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", dir, "./integration/chaos/cmd/chaos", "./edge/cmd/hydrant")
	cmd.Dir, cmd.Env = root, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("reverts: %s: %w\n%s", r.name, err, out)
	}
	return program, env, nil
}

// violation is one of those that chaos prints.
var violation = regexp.MustCompile(`(?m)^ {3}(\S+) line \d+: `)

// found are the kinds of what chaos has printed.
func found(out string) (kinds []string) {
	for _, m := range violation.FindAllStringSubmatch(out, -1) {
		kinds = append(kinds, m[1])
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}
