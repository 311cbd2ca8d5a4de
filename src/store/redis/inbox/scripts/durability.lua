-- What the server that has the inbox says about what it keeps.
return {1, call('INFO', 'persistence') .. call('INFO', 'memory')}
