using System.Reflection;

// The process in which a plugin is tried. All of the work is the loading library's own, of the very version that the program has: this
// is only a way in, and lies beside that library. By name and not by reference, because the library brings this program along.
MethodInfo run = Assembly.Load("Moe.Plugins.Loading")
    .GetType("Moe.Plugins.TrialProcess", throwOnError: true)!
    .GetMethod("Run", BindingFlags.Static | BindingFlags.Public)!;
return (int)run.Invoke(null, [args])!;
