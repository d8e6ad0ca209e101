"""Programs that only tests need beside Python packages: the real Lambda Web Adapter, implementations of
vendors' storage that are not ours, a client of another language, and a browser.

Each is one file with one `Tool`: what decides its content, what this machine needs to make it, how it is
made. A tool is made once per user by `make test`, by a package registry's ordinary client, pinned by hash;
a browser is the machine's own.
"""
