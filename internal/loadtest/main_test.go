//go:build linux

package loadtest

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(jobEnv); job != "" {
		os.Exit(work(job))
	}
	goleak.VerifyTestMain(m)
}
