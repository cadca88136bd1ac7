"""The published database and a compiled project in; static pages for people who read no SQL out.

They open from disk: no server, no script, nothing loaded from elsewhere. No page names a contact.
"""
