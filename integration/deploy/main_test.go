package deploy

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"hydrant/integration/harness"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for processes far more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	fmt.Printf("HYDRANT_SEED=%d\n", harness.Seed())
	code := m.Run()
	complaints := harness.Shutdown()
	if err := goleak.Find(harness.IgnoreSpawner()); err != nil {
		complaints = append(complaints, err.Error())
	}
	for _, complaint := range complaints {
		fmt.Println("after all tests:", complaint)
		code = max(code, 1)
	}
	os.Exit(code)
}

// deployed is the path of a file in deploy/.
func deployed(t *testing.T, name string) string {
	t.Helper()
	root, err := harness.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "deploy", name)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replaceOnce changes what a configuration must hold exactly once.
func replaceOnce(t *testing.T, text, old, with string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("the configuration has %q not exactly once", old)
	}
	return strings.Replace(text, old, with, 1)
}
