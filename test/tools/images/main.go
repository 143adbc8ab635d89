// Command images writes one OCI image, for one or more platforms, into a tar file that `ctr images import` and
// `docker load` read. It needs no daemon and no registry. The image of a platform is one layer, the content of a directory.
//
// The same content makes the same digest: files are in order, belong to root, and have no time, unless -keep-times says
// so; only whether a file is executable is kept of its mode.
//
//	images -out bin/images/a.tar -tag docker.io/local/a:dev -entrypoint /usr/local/bin/a -platform linux/amd64=build/amd64
//
// The only other thing that it does is to write the certificates of the public authorities, so that an image with
// nothing but a program can check whom it talks to:
//
//	images -roots build/amd64/etc/ssl/certs/ca-certificates.crt
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// options are the flags.
type options struct {
	out, roots                                  string
	tags, entrypoint, command, env, directories list
	user, workDir, compression                  string
	keepTimes                                   bool
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o := options{}
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.StringVar(&o.roots, "roots", "", "write the public authorities' certificates to this `file`, and nothing else")
	flags.StringVar(&o.out, "out", "", "the tar `file` to write")
	flags.Var(&o.tags, "tag", "a whole `name` of the image, such as docker.io/local/a:dev; may be repeated")
	flags.Var(&o.directories, "platform", "`os/architecture=directory`; may be repeated")
	flags.Var(&o.entrypoint, "entrypoint", "a `word` of the entry point; may be repeated")
	flags.Var(&o.command, "cmd", "a `word` of the default arguments; may be repeated")
	flags.Var(&o.env, "env", "`NAME=value`; may be repeated")
	flags.StringVar(&o.user, "user", "65532:65532", "`uid:gid` to run as")
	flags.StringVar(&o.workDir, "workdir", "/", "`directory` to run in")
	flags.StringVar(&o.compression, "compression", "gzip", "of layers: gzip, which everything reads, or zstd, which is quick")
	flags.BoolVar(&o.keepTimes, "keep-times", false, "keep the files' times: Python's byte code is only good for the source's")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q; see -help", flags.Arg(0))
	}
	if o.roots != "" {
		return writeRoots(o.roots)
	}
	if o.out == "" || len(o.tags) == 0 || len(o.directories) == 0 {
		return errors.New("-out, -tag and -platform are needed; see -help")
	}
	digest, err := build(o)
	if err != nil {
		return err
	}
	fmt.Printf("%s %s\n", digest, o.tags[0])
	return nil
}
