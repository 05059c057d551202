package pipetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find lists the test files that names stand for, sorted, each once: a test file itself, that of a pipeline beside it,
// those in a folder and the folders below, but for hidden ones and node_modules. Without names it looks in the working
// directory. A name that stands for no test file is an error.
func Find(names ...string) ([]string, error) {
	if len(names) == 0 {
		names = []string{"."}
	}
	var all []string
	for _, name := range names {
		files, err := find(name)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func find(name string) ([]string, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return below(name)
	case strings.HasSuffix(name, Ending):
		return []string{filepath.Clean(name)}, nil
	}
	beside := strings.TrimSuffix(name, filepath.Ext(name)) + Ending
	if _, err := os.Stat(beside); err != nil {
		return nil, fmt.Errorf("%s has no tests: there is no %s", name, beside)
	}
	return []string{filepath.Clean(beside)}, nil
}

func below(folder string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != folder && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(d.Name(), Ending):
			files = append(files, path)
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no *%s in %s", Ending, folder)
	}
	return files, err
}
