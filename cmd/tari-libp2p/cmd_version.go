package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				System  string `json:"system"`
			}{node.Version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.show(v, func() { a.out.printf("tari-libp2p %s, %s, %s\n", v.Version, v.Go, v.System) })
		},
	}
}
