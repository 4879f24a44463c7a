package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version and the commit it was built from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			commit, modified := builtFrom(debug.ReadBuildInfo())
			v := struct {
				Version  string `json:"version"`
				Commit   string `json:"commit"`
				Modified bool   `json:"modified"`
				Go       string `json:"go"`
				System   string `json:"system"`
			}{node.Version(), commit, modified, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.show(v, func() {
				a.out.printf("tari-libp2p %s, %s, %s, %s\n", v.Version, commitText(commit, modified), v.Go, v.System)
			})
		},
	}
}

// builtFrom is the commit that the go command found when it built us, empty if it found none ("go run", "go install" of a version),
// and whether files had been changed since.
func builtFrom(info *debug.BuildInfo, ok bool) (commit string, modified bool) {
	if !ok {
		return "", false
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	return commit, modified
}

func commitText(commit string, modified bool) string {
	switch {
	case commit == "":
		return "no commit known"
	case modified:
		return "commit " + commit + " with changes"
	}
	return "commit " + commit
}
