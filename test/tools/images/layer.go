package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// writeLayer writes a directory's content as a layer: a tar file, in the order of names.
func writeLayer(w io.Writer, root string, keepTimes bool) error {
	archive := tar.NewWriter(w)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return writeEntry(archive, path, filepath.ToSlash(name), keepTimes)
	})
	if err := errors.Join(err, archive.Close()); err != nil {
		return fmt.Errorf("write layer of %s: %w", root, err)
	}
	return nil
}

func writeEntry(archive *tar.Writer, path, name string, keepTimes bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: mode(info), Format: tar.FormatPAX, ModTime: time.Unix(0, 0)}
	if keepTimes {
		header.ModTime = info.ModTime().Truncate(time.Second)
	}
	switch {
	case info.IsDir():
		header.Typeflag, header.Name = tar.TypeDir, name+"/"
		return archive.WriteHeader(header)
	case info.Mode()&fs.ModeSymlink != 0:
		header.Typeflag = tar.TypeSymlink
		if header.Linkname, err = os.Readlink(path); err != nil {
			return err
		}
		return archive.WriteHeader(header)
	case info.Mode().IsRegular():
		return writeFile(archive, header, path, info.Size())
	default:
		return fmt.Errorf("%s is neither file, directory nor link", path)
	}
}

// mode is what does not depend on the umask of whoever made the file.
func mode(info fs.FileInfo) int64 {
	switch {
	case info.Mode()&fs.ModeSticky != 0:
		return 0o1777
	case info.IsDir(), info.Mode()&0o111 != 0:
		return 0o755
	default:
		return 0o644
	}
}

func writeFile(archive *tar.Writer, header *tar.Header, path string, size int64) error {
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(archive, file)
	return err
}
