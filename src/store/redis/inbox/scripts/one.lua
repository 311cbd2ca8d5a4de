-- ARGV[2] number.
local r = load(ARGV[2])
if not r then return {1} end
return {1, shown(r), r.content and call('HGET', CONTENTS, r.id)}
