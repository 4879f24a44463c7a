package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) identityNewCommand() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "new",
		Short: "Make a new identity; --force sets the old one aside",
		Long: "Make a new identity in a data folder where no node runs. \"run\" does this by itself on its first start.\n" +
			"Where there is one already it refuses; with --force the old file is kept under another name.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			id, err := node.NewIdentity()
			if err != nil {
				return err
			}
			return a.replaceIdentity(id, force)
		},
	}
	a.options.folderFlags(c)
	c.Flags().BoolVar(&force, "force", false, "set an identity that is there aside")
	return c
}

func (a *app) identityImportCommand() *cobra.Command {
	var force, asHex bool
	c := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Take over the identity of a Rust node's file, or a secret key",
		Long: "Take over an identity from a file such as a Rust node's base_node_id.json, or with --hex from a file that\n" +
			"holds nothing but the secret key in hexadecimal; \"-\" reads standard input. A secret key never goes on a\n" +
			"command line, where other users and the shell's history see it. The file stays as it is.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			id, err := a.readIdentity(args[0], asHex)
			if err != nil {
				return err
			}
			return a.replaceIdentity(id, force)
		},
	}
	a.options.folderFlags(c)
	c.Flags().BoolVar(&asHex, "hex", false, "the file holds the secret key in hexadecimal")
	c.Flags().BoolVar(&force, "force", false, "set an identity that is there aside")
	return c
}

// readIdentity reads an identity from a file that only its user can read, or from standard input.
func (a *app) readIdentity(name string, asHex bool) (*node.Identity, error) {
	if _, err := hex.DecodeString(name); err == nil && len(name) == 64 {
		return nil, usagef("a secret key does not belong on the command line, where others can see it: give a file, or - and standard input")
	}
	read := node.ReadIdentity
	if asHex {
		read = node.ReadSecretKey
	}
	from := a.stdin
	if name != "-" {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return nil, usagef("%s is a folder", quote(name))
		}
		f, err := node.OpenPrivate(name)
		if err != nil {
			return nil, notRead(name, err)
		}
		defer f.Close()
		from = f
	}
	id, err := read(from)
	if err != nil {
		return nil, usagef("%s: %s", quote(name), strings.TrimPrefix(err.Error(), "node: "))
	}
	return id, nil
}

// replaceIdentity puts an identity into the data folder and shows it.
func (a *app) replaceIdentity(id *node.Identity, force bool) error {
	cfg, err := a.options.config()
	if err != nil {
		return err
	}
	setAside, err := node.ReplaceIdentity(cfg.DataDir, id, force, time.Now())
	if errors.Is(err, fs.ErrExist) && !force {
		return usagef("there is an identity in %s already; --force sets it aside", cfg.DataDir)
	}
	if err != nil {
		return err
	}
	info := struct {
		node.IdentityInfo
		SetAside string `json:"set_aside,omitempty"`
	}{id.Describe(node.IdentityFile(cfg.DataDir)), setAside}
	return a.show(info, func() {
		a.printIdentity(info.IdentityInfo)
		if setAside != "" {
			a.out.printf("the old one %s\n", setAside)
		}
	})
}

func (a *app) identityExportCommand() *cobra.Command {
	var secret, stdout bool
	c := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write the public part of the identity, or with --secret all of it",
		Long: "Write the identity without its secret key, as JSON with the signature over it, to standard output or to a new\n" +
			"file. With --secret write all of it, in the Rust node's format, to a new file that only this user can read;\n" +
			"to standard output only if --stdout says so. Who has the secret key is this node.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := ""
			if len(args) == 1 && args[0] != "-" {
				file = args[0]
			}
			switch {
			case stdout && !secret:
				return usagef("--stdout is for --secret")
			case stdout && file != "":
				return usagef("either a FILE or --stdout")
			case secret && file == "" && !stdout:
				return usagef("--secret needs a FILE to write the secret key to (--stdout writes it to standard output)")
			case stdout && a.json:
				return usagef("no secret key goes into what --json prints: leave it out, the file is JSON by itself")
			}
			id, err := a.ourIdentity()
			if err != nil {
				return err
			}
			if secret {
				return a.exportSecret(id, file)
			}
			return a.exportPublic(id, file)
		},
	}
	a.options.folderFlags(c)
	c.Flags().BoolVar(&secret, "secret", false, "with the secret key")
	c.Flags().BoolVar(&stdout, "stdout", false, "write the secret key to standard output")
	return c
}

// ourIdentity reads the file of the data folder, which a running node leaves as it is; nothing secret goes over the control socket.
func (a *app) ourIdentity() (*node.Identity, error) {
	cfg, err := a.options.config()
	if err != nil {
		return nil, err
	}
	id, err := node.LoadIdentity(node.IdentityFile(cfg.DataDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &node.Failure{Kind: node.FailNotFound, Text: "no identity in " + cfg.DataDir + " yet; \"tari-libp2p identity new\" makes one"}
	}
	return id, err
}

func (a *app) exportSecret(id *node.Identity, file string) error {
	now := time.Now()
	if file == "" {
		text, err := id.Encode(now)
		if err != nil {
			return err
		}
		_, err = a.out.Write(append(text, '\n'))
		return err
	}
	if err := id.SaveNew(file, now); err != nil {
		return notWritten(file, err)
	}
	return a.exported(file, true)
}

func (a *app) exportPublic(id *node.Identity, file string) error {
	public, err := id.Public(time.Now())
	if err != nil {
		return err
	}
	if file == "" {
		return a.out.json(public)
	}
	text, err := json.Marshal(public)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return notWritten(file, err)
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return a.exported(file, false)
}

func (a *app) exported(file string, secret bool) error {
	done := struct {
		exportedTo
		Secret bool `json:"secret"`
	}{exportedTo{file}, secret}
	return a.show(done, func() {
		if secret {
			a.out.printf("written to %s; who can read it can be this node\n", file)
		} else {
			a.out.printf("written to %s, without the secret key\n", file)
		}
	})
}
